package dev.performer.savedmodel;

import dev.performer.AtomicFiles;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** SavedModels that Python made, unpacked from the test resources once per JVM. */
public final class ReferenceModels {
  private static final Map<String, Path> UNPACKED = new ConcurrentHashMap<>();

  private ReferenceModels() {}

  /**
   * A folder of {@code savedmodels/<name>.zip}, read-only by convention.
   *
   * @param name such as {@code models/protein_exp} or {@code constructs/embed}
   */
  public static Path directory(String name) {
    return UNPACKED.computeIfAbsent(name, ReferenceModels::unpack);
  }

  /** An npz file of such a folder. */
  public static Map<String, NpyArray> arrays(String name, String file) {
    return Npz.read(directory(name).resolve(file));
  }

  /** The arrays of which the names begin with {@code prefix/}, without it. */
  public static Map<String, NpyArray> under(Map<String, NpyArray> arrays, String prefix) {
    Map<String, NpyArray> found = new TreeMap<>();
    arrays.forEach(
        (key, value) -> {
          if (key.startsWith(prefix + "/")) {
            found.put(key.substring(prefix.length() + 1), value);
          }
        });
    return found;
  }

  /** A copy that a test may damage. */
  public static Path copy(Path source, Path target) {
    try (Stream<Path> files = Files.walk(source)) {
      for (Path file : files.toList()) {
        Path to = target.resolve(source.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(to);
        } else {
          Files.copy(file, to);
        }
      }
      return target;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path unpack(String name) {
    try (InputStream resource =
        ReferenceModels.class.getResourceAsStream("/savedmodels/" + name + ".zip")) {
      if (resource == null) {
        throw new IllegalArgumentException("no resource savedmodels/" + name + ".zip");
      }
      Path root = Files.createTempDirectory("savedmodels");
      Runtime.getRuntime().addShutdownHook(new Thread(() -> AtomicFiles.discard(root)));
      ZipInputStream zip = new ZipInputStream(resource);
      for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
        Path file = root.resolve(entry.getName());
        if (!entry.isDirectory()) {
          Files.createDirectories(file.getParent());
          Files.copy(zip, file);
        }
      }
      return root;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
