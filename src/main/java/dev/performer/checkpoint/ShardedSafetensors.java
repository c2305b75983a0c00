package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** Several {@code .safetensors} and the {@code …index.json} that tells what is in which. */
final class ShardedSafetensors extends WeightFile {
  /** How the names of such indices end. */
  static final String INDEX_SUFFIX = ".safetensors.index.json";

  private final Map<String, SafetensorsFile> files = new HashMap<>();
  private final Map<String, SafetensorsFile> owners = new HashMap<>();

  private ShardedSafetensors(Path path) {
    super(path, "safetensors", () -> {});
  }

  /** Opens all files of an index, which stand beside it. */
  static ShardedSafetensors open(Path index) {
    JsonNode map = StrictJson.readTree(index).path("weight_map");
    boolean isMap = map.isObject() && !map.isEmpty();
    require(isMap, "%s: expected a key weight_map that gives each tensor's file", index);
    var opened = new ShardedSafetensors(index);
    try {
      map.properties().forEach(e -> opened.add(e.getKey(), e.getValue()));
      return opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  private void add(String tensor, JsonNode value) {
    String name = value.asText();
    boolean isName = value.isTextual() && name.matches("[\\w-][\\w.-]*");
    String shown = Excerpt.of(tensor);
    require(isName, "%s, tensor %s: expected the name of a file beside the index", path(), shown);
    SafetensorsFile file =
        files.computeIfAbsent(name, n -> SafetensorsFile.open(path().resolveSibling(n)));
    Info info = file.tensors().get(tensor);
    require(info != null, "%s has no tensor %s, which %s places there", file.path(), shown, path());
    owners.put(tensor, file);
    tensors.put(tensor, info);
  }

  @Override
  public String format() {
    return "safetensors in " + files.size() + (files.size() == 1 ? " file" : " files");
  }

  @Override
  NpyArray read(String name, Info info, String where) {
    return owners.get(name).read(name);
  }

  @Override
  public void close() {
    files.values().forEach(SafetensorsFile::close);
  }
}
