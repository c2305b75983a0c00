package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A directory that KerasHub saves a preset in: a backbone with its {@code config.json}, and of a
 * task its {@code task.json} and the weights of its heads.
 */
final class KerasHubPreset extends WeightFile {
  /** What names of the backbone's tensors begin with where there is a task. */
  static final String BACKBONE = "backbone";

  private static final String WEIGHTS = "model.weights.h5";
  private static final String TASK = "task.json";
  private static final String HEADS = "task.weights.h5";

  private final KerasFile backbone;
  private final KerasFile heads; // null for none
  private final String prefix;

  private KerasHubPreset(Path folder, KerasFile backbone, KerasFile heads) {
    super(folder, "KerasHub preset", backbone::close);
    this.backbone = backbone;
    this.heads = heads;
    Path task = folder.resolve(TASK);
    boolean isTask = Files.isRegularFile(task);
    modelConfig = isTask ? StrictJson.readTree(task) : neighbourConfig();
    prefix = isTask ? BACKBONE + "/" : "";
    backbone.tensors.forEach((name, info) -> tensors.put(prefix + name, info));
    if (isTask && heads != null) {
      tensors.putAll(heads.tensors);
    }
  }

  /** Whether a directory has what a preset has. */
  static boolean recognizes(Path folder) {
    JsonNode config = configIn(folder);
    return Files.isRegularFile(folder.resolve(WEIGHTS)) && config.has("class_name");
  }

  static KerasHubPreset open(Path folder) {
    KerasFile backbone = KerasFile.open(folder.resolve(WEIGHTS));
    try {
      return owning(backbone::close, source -> of(folder, backbone));
    } catch (IOException e) {
      throw unreadable(folder, e);
    }
  }

  private static KerasHubPreset of(Path folder, KerasFile backbone) throws IOException {
    Path file = folder.resolve(HEADS);
    if (!Files.isRegularFile(file)) {
      return new KerasHubPreset(folder, backbone, null);
    }
    KerasFile heads = KerasFile.open(file);
    return owning(heads::close, source -> new KerasHubPreset(folder, backbone, heads));
  }

  @Override
  NpyArray read(String name, Info info, String where) throws IOException {
    String own = name.substring(name.startsWith(prefix) ? prefix.length() : 0);
    return (own.equals(name) && heads != null ? heads : backbone).read(own, info, where);
  }

  @Override
  public void close() {
    if (heads != null) {
      heads.close();
    }
    super.close();
  }
}
