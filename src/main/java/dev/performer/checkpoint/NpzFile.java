package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Arrays that {@code numpy.savez} wrote; all are read at once. */
final class NpzFile extends WeightFile {
  private final Map<String, NpyArray> arrays;

  private NpzFile(Path path, Map<String, NpyArray> arrays) {
    super(path, "npz", () -> {});
    this.arrays = arrays;
    arrays.forEach(
        (name, array) ->
            tensors.put(name, new Info(array.type().label(), array.shape(), array.bytes().length)));
  }

  /** Whether a file is named so, or a zip of arrays. */
  static boolean recognizes(Path file) {
    return Files.isRegularFile(file)
        && (file.toString().endsWith(".npz") || isZipWith(file, name -> name.endsWith(".npy")));
  }

  static NpzFile open(Path file) {
    return new NpzFile(file, Npz.read(file));
  }

  @Override
  NpyArray read(String name, Info info, String where) {
    return arrays.get(name);
  }
}
