package dev.performer.checkpoint;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Finds out which of the formats that hold named tensors a file or directory has. */
final class TensorFormats {
  private TensorFormats() {}

  /**
   * Opens safetensors, Keras files, TensorFlow checkpoints and npz; empty for anything else.
   *
   * @throws dev.performer.PerformerException if it is one of them but damaged, or a pickle
   */
  static Optional<WeightFile> open(Path path) {
    if (Files.isDirectory(path)) {
      return inDirectory(path);
    }
    String name = path.getFileName() == null ? "" : path.getFileName().toString();
    if (name.endsWith(ShardedSafetensors.INDEX_SUFFIX) && Files.isRegularFile(path)) {
      return Optional.of(ShardedSafetensors.open(path));
    }
    if (KerasFile.recognizes(path)) {
      return Optional.of(KerasFile.open(path));
    }
    if (PytorchPickle.recognizes(path)) {
      throw PytorchPickle.refusal(path);
    }
    if (NpzFile.recognizes(path)) {
      return Optional.of(NpzFile.open(path));
    }
    if (Files.isRegularFile(path)
        && (name.endsWith(".safetensors") || SafetensorsFile.recognizes(path))) {
      return Optional.of(SafetensorsFile.open(path));
    }
    if (Files.isRegularFile(path) && (name.endsWith(".h5") || name.endsWith(".keras"))) {
      return Optional.of(KerasFile.open(path)); // which reports what is wrong
    }
    return TensorFlowCheckpoint.recognizes(path)
        ? Optional.of(TensorFlowCheckpoint.open(path))
        : Optional.empty();
  }

  private static Optional<WeightFile> inDirectory(Path directory) {
    Path whole = directory.resolve("model.safetensors");
    Path sharded = directory.resolve("model" + ShardedSafetensors.INDEX_SUFFIX);
    Path pickle = directory.resolve("pytorch_model.bin");
    if (Files.isRegularFile(whole)) {
      return Optional.of(SafetensorsFile.open(whole));
    } else if (Files.isRegularFile(sharded)) {
      return Optional.of(ShardedSafetensors.open(sharded));
    } else if (PytorchPickle.recognizes(pickle)) {
      throw PytorchPickle.refusal(pickle);
    }
    return TensorFlowCheckpoint.recognizes(directory)
        ? Optional.of(TensorFlowCheckpoint.open(directory))
        : Optional.empty();
  }
}
