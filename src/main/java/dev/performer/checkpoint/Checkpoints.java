package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Opens foreign checkpoints of any format. */
public final class Checkpoints {
  private Checkpoints() {}

  /**
   * Opens a checkpoint; its format is found by its first bytes. The caller closes it.
   *
   * @throws PerformerException if there is nothing, or nothing that is known
   */
  public static WeightFile open(Path path) {
    Optional<WeightFile> tensors = TensorFormats.open(path);
    if (tensors.isPresent()) {
      return tensors.get();
    }
    if (!Files.exists(path)) {
      throw new PerformerException(path + ": there is no such file or directory");
    }
    return FlaxCheckpoint.find(path)
        .<WeightFile>map(FlaxCheckpoint::open)
        .orElseThrow(
            () ->
                new PerformerException(
                    path
                        + ": is no checkpoint that is known here; expected Flax msgpack (checkpoint_N),"
                        + " a TF2 checkpoint, Keras .h5 or .keras, .safetensors or .npz"));
  }

  /**
   * Reads a checkpoint as one of our models.
   *
   * @throws PerformerException as {@link #open} and {@link NamingScheme#map}
   */
  public static ModelWeights load(Path path, ImportOptions options) {
    try (WeightFile file = open(path)) {
      if (options.mapping() != null) {
        return new MappedNaming().map(file, options);
      }
      return NamingSchemes.of(file)
          .orElseThrow(
              () ->
                  new PerformerException(
                      path
                          + ": the names of its tensors fit no known scheme "
                          + NamingSchemes.labels()
                          + "; they begin with "
                          + file.tensors().keySet().stream().limit(3).toList()
                          + "; give a --mapping file"))
          .map(file, options);
    }
  }
}
