package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.zip.ZipFile;

/** Arrays that {@code numpy.savez} wrote; all are read at once. */
public final class NpzFile implements WeightFile {
  private final Path path;
  private final Map<String, NpyArray> arrays;
  private final SortedMap<String, Info> infos = new TreeMap<>();

  private NpzFile(Path path, Map<String, NpyArray> arrays) {
    this.path = path;
    this.arrays = arrays;
    arrays.forEach(
        (name, array) ->
            infos.put(name, new Info(array.type().label(), array.shape(), array.bytes().length)));
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
  public Path path() {
    return path;
  }

  @Override
  public String format() {
    return "npz";
  }

  @Override
  public SortedMap<String, Info> tensors() {
    return Collections.unmodifiableSortedMap(infos);
  }

  @Override
  public NpyArray read(String name) {
    NpyArray array = arrays.get(name);
    if (array == null) {
      throw new PerformerException(path + ", array " + name + ": there is none of that name");
    }
    return array;
  }

  @Override
  public void close() {}
}
