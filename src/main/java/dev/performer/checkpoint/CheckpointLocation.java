package dev.performer.checkpoint;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.graph.CheckpointReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Finds the prefix of a TensorFlow checkpoint from what a person names. */
final class CheckpointLocation {
  private static final Pattern STATE =
      Pattern.compile("(?m)^\\s*model_checkpoint_path:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"");
  private static final Pattern DATA = Pattern.compile("(.*)\\.data-\\d{5}-of-\\d{5}");
  private static final Pattern NUMBER = Pattern.compile(".*?(\\d+)");
  private static final long LONGEST_STATE = 1 << 22;

  private CheckpointLocation() {}

  /** The prefix, if the path is, or leads to, a checkpoint. */
  static Optional<Path> find(Path path) {
    if (Files.isDirectory(path)) {
      return inDirectory(path);
    }
    Path file = path.getFileName();
    if (file == null) {
      return Optional.empty();
    }
    String name = file.toString();
    if (name.endsWith(".index")) {
      return Optional.of(path.resolveSibling(name.substring(0, name.length() - 6)));
    }
    Matcher data = DATA.matcher(name);
    if (data.matches()) {
      return Optional.of(path.resolveSibling(data.group(1)));
    }
    if (CheckpointReader.exists(path) || hasData(path)) {
      return Optional.of(path);
    }
    return name.equals("checkpoint") && Files.isRegularFile(path)
        ? fromState(path)
        : Optional.empty();
  }

  private static boolean hasData(Path prefix) {
    return Files.isRegularFile(
        prefix.resolveSibling(prefix.getFileName() + ".data-00000-of-00001"));
  }

  private static Optional<Path> inDirectory(Path directory) {
    Path variables = directory.resolve("variables").resolve("variables");
    if (CheckpointReader.exists(variables)) {
      return Optional.of(variables);
    }
    return fromState(directory.resolve("checkpoint")).or(() -> newest(directory));
  }

  private static Optional<Path> fromState(Path state) {
    try {
      if (!Files.isRegularFile(state) || Files.size(state) > LONGEST_STATE) {
        return Optional.empty();
      }
      String text = new String(Files.readAllBytes(state), StandardCharsets.UTF_8);
      Matcher matcher = STATE.matcher(text);
      if (!matcher.find()) {
        return Optional.empty();
      }
      Path named = Path.of(matcher.group(1).replaceAll("\\\\(.)", "$1"));
      // An absolute path is where the checkpoint was written, perhaps on another machine.
      Path prefix =
          state.resolveSibling(named.isAbsolute() ? named.getFileName() : named).normalize();
      if (!prefix.startsWith(state.resolveSibling("").normalize())) {
        throw new PerformerException(
            state + " names a checkpoint outside of its folder; name that one itself");
      }
      if (!CheckpointReader.exists(prefix)) {
        throw new PerformerException(
            "%s names the checkpoint %s, but %s.index is missing"
                .formatted(state, Excerpt.of(named.toString()), prefix));
      }
      return Optional.of(prefix);
    } catch (InvalidPathException e) {
      throw new PerformerException(state + " names a checkpoint by what is no path", e);
    } catch (IOException e) {
      throw new PerformerException(state + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  /** The index with the largest number in its name. */
  private static Optional<Path> newest(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      List<String> prefixes =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.endsWith(".index") && name.length() > 6)
              .map(name -> name.substring(0, name.length() - 6))
              .sorted(
                  Comparator.comparing(CheckpointLocation::number)
                      .thenComparing(Comparator.naturalOrder()))
              .toList();
      return prefixes.isEmpty()
          ? Optional.empty()
          : Optional.of(directory.resolve(prefixes.get(prefixes.size() - 1)));
    } catch (IOException e) {
      throw new PerformerException(directory + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  private static java.math.BigInteger number(String name) {
    Matcher matcher = NUMBER.matcher(name);
    return matcher.matches()
        ? new java.math.BigInteger(matcher.group(1))
        : java.math.BigInteger.ONE.negate();
  }
}
