package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.graph.CheckpointReader;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Finds the prefix of a TensorFlow checkpoint from what a person names. */
final class CheckpointLocation {
  private static final Pattern STATE =
      Pattern.compile("(?m)^\\s*model_checkpoint_path:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"");
  private static final Pattern PART = Pattern.compile("(.*)\\.(index|data-\\d{5}-of-\\d{5})");
  private static final Pattern INDEX = Pattern.compile("(?s)(?!\\.index$).*?(\\d*)\\.index");
  private static final long LONGEST_STATE = 1 << 22;

  private CheckpointLocation() {}

  /** The prefix, if the path is, or leads to, a checkpoint. */
  static Optional<Path> find(Path path) {
    if (Files.isDirectory(path)) {
      return inDirectory(path);
    }
    Matcher part = PART.matcher(String.valueOf(path.getFileName()));
    if (part.matches()) {
      return Optional.of(path.resolveSibling(part.group(1)));
    }
    Path data = path.resolveSibling(path.getFileName() + ".data-00000-of-00001");
    if (CheckpointReader.exists(path) || Files.isRegularFile(data)) {
      return Optional.of(path);
    }
    return path.endsWith("checkpoint") ? fromState(path) : Optional.empty();
  }

  private static Optional<Path> inDirectory(Path directory) {
    Path variables = directory.resolve("variables").resolve("variables");
    if (CheckpointReader.exists(variables)) {
      return Optional.of(variables);
    }
    return fromState(directory.resolve("checkpoint"))
        .or(() -> WeightFile.newest(directory, CheckpointLocation::number).flatMap(p -> find(p)));
  }

  private static Optional<Path> fromState(Path state) {
    try {
      if (!Files.isRegularFile(state) || Files.size(state) > LONGEST_STATE) {
        return Optional.empty();
      }
      Matcher matcher =
          STATE.matcher(new String(Files.readAllBytes(state), StandardCharsets.UTF_8));
      if (!matcher.find()) {
        return Optional.empty();
      }
      Path named = Path.of(matcher.group(1).replaceAll("\\\\(.)", "$1"));
      // An absolute path is where the checkpoint was written, perhaps on another machine.
      boolean isMoved = named.isAbsolute() && named.getNameCount() > 0;
      Path place = isMoved ? named.getFileName() : named;
      Path prefix = state.resolveSibling(place).normalize();
      boolean isInside = prefix.startsWith(state.resolveSibling("").normalize());
      require(isInside, "%s names a checkpoint outside of its folder; name that one itself", state);
      String missing = "%s names the checkpoint %s, but %s.index is missing";
      String shown = Excerpt.of(named.toString());
      require(CheckpointReader.exists(prefix), missing, state, shown, prefix);
      return Optional.of(prefix);
    } catch (InvalidPathException e) {
      throw new PerformerException(state + " names a checkpoint by what is no path", e);
    } catch (IOException e) {
      throw WeightFile.unreadable(state, e);
    }
  }

  /** The number at the end of an index's name, -1 for none; null for what is no index. */
  private static BigInteger number(Path file) {
    Matcher index = INDEX.matcher(file.getFileName().toString());
    if (!index.matches()) {
      return null;
    }
    String digits = index.group(1);
    return new BigInteger(digits.isEmpty() ? "-1" : digits);
  }
}
