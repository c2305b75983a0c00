package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.data.StrictJson;
import java.nio.file.Files;
import java.nio.file.Path;

/** The {@code config.json} that lies beside weights; an empty object where there is none. */
final class NeighbourConfig {
  private NeighbourConfig() {}

  /** Of a file, a prefix or a directory. */
  static JsonNode of(Path weights) {
    return in(folder(weights));
  }

  /** As {@link #of}, looking one folder higher too. */
  static JsonNode near(Path weights) {
    Path folder = folder(weights);
    JsonNode beside = in(folder);
    Path parent = folder.toAbsolutePath().getParent();
    return parent == null || Files.isRegularFile(folder.resolve("config.json"))
        ? beside
        : in(parent);
  }

  private static Path folder(Path weights) {
    return Files.isDirectory(weights) ? weights : weights.toAbsolutePath().getParent();
  }

  private static JsonNode in(Path folder) {
    Path file = folder.resolve("config.json");
    JsonNode tree = Files.isRegularFile(file) ? StrictJson.readTree(file) : null;
    return tree != null && tree.isObject() ? tree : JsonNodeFactory.instance.objectNode();
  }
}
