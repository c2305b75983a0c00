package dev.performer.testing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * One case of a folder of reference data that the Python code wrote: an entry of its index.json and
 * the arrays of its .npz.
 *
 * @param name the case's name
 * @param index its entry in index.json
 * @param arrays its arrays
 */
public record ReferenceCase(String name, JsonNode index, Map<String, NpyArray> arrays) {

  /**
   * Every case of a folder, in the index's order.
   *
   * @param folder as in {@code /reference/gr_tf}
   */
  public static List<ReferenceCase> all(String folder) {
    Path directory = directory(folder);
    try {
      JsonNode root = new ObjectMapper().readTree(directory.resolve("index.json").toFile());
      List<ReferenceCase> cases = new ArrayList<>();
      for (JsonNode entry : root.get("cases")) {
        cases.add(
            new ReferenceCase(
                entry.get("name").asText(),
                entry,
                Npz.read(directory.resolve(entry.get("file").asText()))));
      }
      return cases;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A folder of test resources as a path. */
  public static Path directory(String folder) {
    try {
      return Path.of(ReferenceCase.class.getResource(folder).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(folder, e);
    }
  }

  public boolean has(String array) {
    return arrays.containsKey(array);
  }

  /** An array that must be there. */
  public NpyArray get(String array) {
    NpyArray found = arrays.get(array);
    if (found == null) {
      throw new AssertionError(name + " has no array " + array + ", only " + arrays.keySet());
    }
    return found;
  }

  @Override
  public String toString() {
    return name;
  }
}
