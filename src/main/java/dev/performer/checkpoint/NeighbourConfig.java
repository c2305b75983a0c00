package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.StrictJson;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The {@code config.json} that lies beside weights, or beside the folder of a checkpoint. */
final class NeighbourConfig {
  private static final JsonNode NONE = new com.fasterxml.jackson.databind.node.ObjectNode(null);

  private NeighbourConfig() {}

  /**
   * The configuration; an empty object where there is none.
   *
   * @param weights file, prefix or directory
   */
  static JsonNode of(Path weights) {
    return of(weights, false);
  }

  /** As {@link #of(Path)}, looking one folder higher too. */
  static JsonNode near(Path weights) {
    return of(weights, true);
  }

  private static JsonNode of(Path weights, boolean higher) {
    Path folder = Files.isDirectory(weights) ? weights : weights.toAbsolutePath().getParent();
    Path parent = higher && folder != null ? folder.toAbsolutePath().getParent() : null;
    for (Path place : parent == null ? List.of(folder) : List.of(folder, parent)) {
      Path file = place.resolve("config.json");
      if (Files.isRegularFile(file)) {
        JsonNode tree = StrictJson.readTree(file);
        return tree != null && tree.isObject() ? tree : NONE;
      }
    }
    return NONE;
  }
}
