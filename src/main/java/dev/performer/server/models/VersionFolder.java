package dev.performer.server.models;

import dev.performer.pipeline.Model;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Comparator;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/** The folder of a model with its versions, as TensorFlow Serving lays it out, or one model. */
record VersionFolder(Path base) {
  private static final String GRAPH = "saved_model.pb";
  private static final int DEEPEST = 4;

  static boolean isNumber(String name) {
    return name.matches("[0-9]{1,18}");
  }

  /** Whether a path is the folder of versions, not a model itself. */
  static boolean isBase(Path path) {
    return Files.isDirectory(path) && !Files.exists(path.resolve(GRAPH)) && !Model.isRun(path);
  }

  /** Where versions are, whole or not; {@code 007} and {@code 7} are one, the latter. */
  NavigableMap<Long, Path> versions() throws IOException {
    NavigableMap<Long, Path> found = new TreeMap<>();
    if (!isBase(base)) {
      if (!Files.isDirectory(base)) {
        throw new NoSuchFileException(base.toString());
      }
      String name = "" + base.toAbsolutePath().normalize().getFileName();
      found.put(isNumber(name) ? Long.parseLong(name) : ModelConfig.ONLY, base);
      return found;
    }
    try (Stream<Path> children = Files.list(base)) {
      for (Path child : children.sorted().toList()) {
        String name = child.getFileName().toString();
        if (isNumber(name) && Files.isDirectory(child)) {
          found.put(Long.parseLong(name), child);
        }
      }
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    return found;
  }

  /** A model in a folder without versions, where it would never be served. */
  Optional<Path> unnumbered() {
    try (Stream<Path> children = Files.list(base)) {
      return !isBase(base) || !versions().isEmpty()
          ? Optional.empty()
          : children
              .filter(child -> !child.getFileName().toString().startsWith("."))
              .filter(child -> Files.exists(child.resolve(GRAPH)))
              .min(Comparator.naturalOrder());
    } catch (IOException | UncheckedIOException e) {
      return Optional.empty(); // what cannot be read is told when it is loaded
    }
  }

  /** A path with its files, their sizes and ages: what changes while something is written there. */
  record Content(String files, long bytes) {
    static Content of(Path path) {
      StringBuilder files = new StringBuilder();
      long bytes = 0;
      try (Stream<Path> walk = Files.walk(path, DEEPEST, FileVisitOption.FOLLOW_LINKS)) {
        files.append(path.toRealPath()).append('\n');
        for (Path file : walk.sorted().toList()) {
          var attributes = Files.readAttributes(file, BasicFileAttributes.class);
          if (attributes.isRegularFile()) {
            bytes += attributes.size();
            files.append(path.relativize(file)).append(' ').append(attributes.size()).append(' ');
            files.append(attributes.lastModifiedTime()).append('\n');
          }
        }
      } catch (IOException | UncheckedIOException e) {
        return new Content("changing: " + System.nanoTime(), 0);
      }
      return new Content(files.toString(), bytes);
    }
  }
}
