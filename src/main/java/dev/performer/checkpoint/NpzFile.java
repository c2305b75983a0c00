package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.ZipFile;

/** Arrays that {@code numpy.savez} wrote; all are read at once. */
public final class NpzFile extends OpenedWeights {
  private final Map<String, NpyArray> arrays;

  private NpzFile(Path path, Map<String, NpyArray> arrays) {
    super(path, "npz");
    this.arrays = arrays;
    arrays.forEach(
        (name, array) ->
            tensors.put(name, new Info(array.type().label(), array.shape(), array.bytes().length)));
  }

  /** Whether a file is named so, or a zip of arrays. */
  public static boolean recognizes(Path file) {
    if (!Files.isRegularFile(file)) {
      return false;
    }
    if (file.getFileName().toString().endsWith(".npz")) {
      return true;
    }
    try (ZipFile zip = new ZipFile(file.toFile())) {
      return zip.stream().anyMatch(entry -> entry.getName().endsWith(".npy"));
    } catch (IOException | IllegalArgumentException e) {
      return false;
    }
  }

  /** Reads a file. @throws PerformerException if it is no npz, or damaged */
  public static NpzFile open(Path file) {
    return new NpzFile(file, Npz.read(file));
  }

  @Override
  public NpyArray read(String name) {
    NpyArray array = arrays.get(name);
    if (array == null) {
      throw new PerformerException(path() + ", array " + name + ": there is none of that name");
    }
    return array;
  }

  @Override
  public void close() {}
}
