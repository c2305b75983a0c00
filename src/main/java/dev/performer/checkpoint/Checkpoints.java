package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Opens checkpoints of any known format. */
public final class Checkpoints {
  private static final int HEAD = 4096;

  private static final List<WeightFormat> FORMATS = List.of(new FlaxFormat());

  private Checkpoints() {}

  /**
   * Finds out the format of a file or directory and opens it; the caller closes it.
   *
   * @throws PerformerException if there is nothing, or nothing that is known
   */
  public static WeightFile open(Path path) {
    Optional<WeightFile> tensors = TensorFormats.open(path);
    if (tensors.isPresent()) {
      return tensors.get();
    }
    byte[] head = head(path);
    for (WeightFormat format : FORMATS) {
      if (format.recognizes(path, head)) {
        return format.open(path);
      }
    }
    throw new PerformerException(
        path
            + (Files.isDirectory(path) ? " holds" : " is")
            + " no checkpoint that is known here; expected Flax msgpack (checkpoint_<step>), a"
            + " TensorFlow checkpoint, Keras .h5 or .keras, .safetensors or .npz");
  }

  /**
   * Reads a checkpoint as one of our models.
   *
   * @throws PerformerException as {@link #open} and {@link NamingScheme#map}
   */
  public static ModelWeights load(Path path, ImportOptions options) {
    try (WeightFile file = open(path)) {
      return NamingSchemes.of(file, options).map(file, options);
    }
  }

  private static byte[] head(Path path) {
    if (Files.isDirectory(path)) {
      return new byte[0];
    }
    if (!Files.exists(path)) {
      // A TensorFlow checkpoint is named by a prefix: there is no such file itself.
      return new byte[0];
    }
    try (InputStream in = Files.newInputStream(path)) {
      return in.readNBytes(HEAD);
    } catch (IOException e) {
      throw new PerformerException(path + " cannot be read: " + e.getMessage(), e);
    }
  }
}
