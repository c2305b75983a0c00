package dev.performer.testing;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** Reference data that Python made, in the test resources. */
public final class Golden {
  private final String folder;
  private final JsonNode index;

  private Golden(String folder) {
    this.folder = folder;
    try {
      this.index = new ObjectMapper().readTree(path("index.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A folder below {@code reference/} with an {@code index.json}. */
  public static Golden folder(String name) {
    return new Golden("/reference/" + name + "/");
  }

  public JsonNode index() {
    return index;
  }

  /** The cases whose name starts so; at least one. */
  public Stream<JsonNode> cases(String prefix) {
    var found =
        StreamSupport.stream(index.get("cases").spliterator(), false)
            .filter(c -> c.get("name").asText().startsWith(prefix))
            .toList();
    assertThat(found).isNotEmpty();
    return found.stream();
  }

  public Map<String, NpyArray> arrays(String file) {
    return Npz.read(path(file));
  }

  public Map<String, NpyArray> arrays(JsonNode oneCase) {
    return arrays(oneCase.get("file").asText());
  }

  private Path path(String file) {
    return ReferenceCase.directory(folder).resolve(file);
  }

  /** The largest absolute difference; NaN counts as infinite. */
  public static double deviation(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    double worst = 0;
    for (int i = 0; i < actual.length; i++) {
      double d = Math.abs((double) actual[i] - expected[i]);
      worst = Math.max(worst, Double.isNaN(d) ? Double.POSITIVE_INFINITY : d);
    }
    return worst;
  }

  /** The largest absolute difference, relative to the largest value expected. */
  public static double relativeDeviation(float[] actual, float[] expected) {
    double scale = 0;
    for (float e : expected) {
      scale = Math.max(scale, Math.abs(e));
    }
    double deviation = deviation(actual, expected);
    return deviation == 0 ? 0 : deviation / scale;
  }
}
