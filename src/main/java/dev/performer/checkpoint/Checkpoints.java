package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.nio.file.Files;
import java.nio.file.Path;

/** Opens checkpoints of any format. */
public final class Checkpoints {
  private Checkpoints() {}

  /**
   * Opens a file, a directory or the prefix of a TensorFlow checkpoint; its content tells what it
   * is, not its name alone. The caller closes it.
   */
  public static WeightFile open(Path path) {
    if (Files.isDirectory(path)) {
      return inDirectory(path);
    }
    boolean isFile = Files.isRegularFile(path);
    String name = String.valueOf(path.getFileName());
    if (isFile && name.endsWith(ShardedSafetensors.INDEX_SUFFIX)) {
      return ShardedSafetensors.open(path);
    } else if (KerasFile.recognizes(path)) {
      return KerasFile.open(path);
    } else if (PytorchPickle.recognizes(path)) {
      throw PytorchPickle.refusal(path);
    } else if (NpzFile.recognizes(path)) {
      return NpzFile.open(path);
    } else if (isFile && (name.endsWith(".safetensors") || SafetensorsFile.recognizes(path))) {
      return SafetensorsFile.open(path);
    } else if (isFile && (name.endsWith(".h5") || name.endsWith(".keras"))) {
      return KerasFile.open(path); // which reports what is wrong
    } else if (TensorFlowCheckpoint.recognizes(path)) {
      return TensorFlowCheckpoint.open(path);
    } else if (FlaxCheckpoint.recognizes(path)) {
      return FlaxCheckpoint.open(path);
    }
    PerformerException.require(Files.exists(path), "%s: no such file or directory", path);
    if (FlaxCheckpoint.isNamed(path)) {
      return FlaxCheckpoint.open(path);
    }
    throw unknown(path, "is");
  }

  private static WeightFile inDirectory(Path directory) {
    Path whole = directory.resolve("model.safetensors");
    Path sharded = directory.resolve("model" + ShardedSafetensors.INDEX_SUFFIX);
    Path pickle = directory.resolve("pytorch_model.bin");
    if (Files.isRegularFile(whole)) {
      return SafetensorsFile.open(whole);
    } else if (Files.isRegularFile(sharded)) {
      return ShardedSafetensors.open(sharded);
    } else if (PytorchPickle.recognizes(pickle)) {
      throw PytorchPickle.refusal(pickle);
    } else if (TensorFlowCheckpoint.recognizes(directory)) {
      return TensorFlowCheckpoint.open(directory);
    } else if (FlaxCheckpoint.locate(directory).isPresent()) {
      return FlaxCheckpoint.open(directory);
    }
    throw unknown(directory, "holds");
  }

  private static PerformerException unknown(Path path, String verb) {
    return new PerformerException(
        "%s %s no checkpoint that is known here: Flax msgpack (checkpoint_<step>), TensorFlow checkpoint, .h5, .keras, .safetensors, .npz"
            .formatted(path, verb));
  }

  /** Reads a model. @throws PerformerException also if no scheme knows the names */
  public static ModelWeights load(Path path, ImportOptions options) {
    try (WeightFile file = open(path)) {
      ModelWeights weights = NamingSchemes.of(file, options).map(file, options);
      // A task that has other weights than those that are there would be another model.
      String task = StrictJson.tree(weights.config().task()).asText();
      if (options.task() != null && !options.task().equals(task)) {
        throw new PerformerException(
                "%s: its weights are those of the task %s, not of %s; import it as what it is"
                    .formatted(path, task, options.task()))
            .settledBy("task");
      }
      return weights;
    }
  }
}
