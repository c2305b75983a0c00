package dev.performer.training.run;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.data.Batches.BatchPosition;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;

/**
 * One checkpoint directory, {@code step-N}: TensorFlow's files under {@link #prefix} and {@code
 * state.json}, which is written last and holds size and CRC-32 of every other file, so that a
 * damaged checkpoint is known.
 */
public record Checkpoint(Path directory, TrainingState state) {
  private static final String STATE = "state.json";
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /** What TensorFlow's save and restore ops take. */
  public static Path prefix(Path directory) {
    return directory.resolve("variables");
  }

  public Path prefix() {
    return prefix(directory);
  }

  /** Completes a directory that holds all other files, and brings everything to the disk. */
  static void seal(Path directory, TrainingState state) throws IOException {
    ObjectNode json = JSON.createObjectNode();
    json.set("state", JSON.valueToTree(state));
    ObjectNode files = json.putObject("files");
    try (var list = Files.list(directory)) {
      for (Path file : list.filter(Files::isRegularFile).sorted().toList()) {
        AtomicFiles.force(file);
        ObjectNode entry = files.putObject(file.getFileName().toString());
        entry.put("bytes", Files.size(file)).put("crc32", crc32(file));
      }
    }
    Path stateFile = directory.resolve(STATE);
    JSON.writeValue(stateFile.toFile(), json);
    AtomicFiles.force(stateFile);
  }

  /** Reads a directory. @throws IOException that names what is missing or damaged */
  public static Checkpoint open(Path directory) throws IOException {
    JsonNode json = JSON.readTree(directory.resolve(STATE).toFile());
    JsonNode files = json.path("files");
    require(!files.isEmpty(), "state.json names no files");
    for (var field : files.properties()) {
      Path file = directory.resolve(field.getKey());
      JsonNode entry = field.getValue();
      require(Files.isRegularFile(file), field.getKey() + " is missing");
      require(
          Files.size(file) == entry.path("bytes").asLong(-1)
              && crc32(file) == entry.path("crc32").asLong(-1),
          field.getKey() + " is cut off or damaged");
    }
    TrainingState state = JSON.treeToValue(json.path("state"), TrainingState.class);
    require(
        state != null && state.position() != null && state.best() != null,
        "state.json lacks the state");
    return new Checkpoint(directory, state);
  }

  private static void require(boolean holds, String otherwise) throws IOException {
    if (!holds) {
      throw new IOException(otherwise);
    }
  }

  private static long crc32(Path file) throws IOException {
    try (var in = new CheckedInputStream(Files.newInputStream(file), new CRC32())) {
      in.transferTo(OutputStream.nullOutputStream());
      return in.getChecksum().getValue();
    }
  }

  /**
   * Where a run stands after a step, besides the values of its variables.
   *
   * @param position the next training batch
   * @param tokens real tokens seen in training
   * @param seconds time spent in training steps
   * @param validation {@code Validation.fingerprint}; null in checkpoints of earlier versions
   * @param interval what steps measured since the last line of metrics
   */
  public record TrainingState(
      long step,
      BatchPosition position,
      Evaluation before,
      Evaluation latest,
      Evaluation best,
      long bestStep,
      long tokens,
      double seconds,
      @JsonInclude(JsonInclude.Include.NON_NULL) String validation,
      Interval interval) {
    public TrainingState {
      interval = interval == null ? Interval.EMPTY : interval;
    }

    public static TrainingState start(Evaluation now, String validation) {
      return new TrainingState(0, BatchPosition.START, now, now, now, 0, 0, 0, validation, null);
    }

    /** Measured anew, on other data or on data not known before. */
    public TrainingState remeasured(
        Evaluation now, Evaluation ofBest, long itsStep, String otherValidation) {
      return new TrainingState(
          step, position, before, now, ofBest, itsStep, tokens, seconds, otherValidation, interval);
    }

    public TrainingState afterStep(BatchPosition next, Interval measured, double moreSeconds) {
      long seen = tokens + measured.tokens;
      double spent = seconds + moreSeconds;
      Interval all = interval.plus(measured, moreSeconds);
      return new TrainingState(
          step + 1, next, before, latest, best, bestStep, seen, spent, validation, all);
    }

    public TrainingState withInterval(Interval other) {
      return new TrainingState(
          step, position, before, latest, best, bestStep, tokens, seconds, validation, other);
    }

    /** After an evaluation. @param better whether it is the best so far */
    public TrainingState withEvaluation(Evaluation now, boolean better) {
      return remeasured(now, better ? now : best, better ? step : bestStep, validation);
    }

    public boolean standsAtBest() {
      return bestStep == step;
    }

    public TrainingResult result(boolean finished, Path place, List<String> unused) {
      double rate = seconds == 0 ? 0 : tokens / seconds;
      return new TrainingResult(
          before, latest, best, bestStep, step, finished, tokens, seconds, rate, place, unused);
    }
  }

  /**
   * Sums over a step, or over those since the last line of metrics. A checkpoint holds them, so
   * that a resumed run writes the same lines.
   *
   * @param entropy cross-entropy over all guesses, in nats
   * @param norm of gradients before clipping
   */
  public record Interval(
      double entropy,
      double right,
      double guesses,
      double norm,
      long tokens,
      double seconds,
      long steps) {
    public static final Interval EMPTY = new Interval(0, 0, 0, 0, 0, 0, 0);

    /** With a step that took so long. */
    Interval plus(Interval step, double itsSeconds) {
      return new Interval(
          entropy + step.entropy,
          right + step.right,
          guesses + step.guesses,
          norm + step.norm,
          tokens + step.tokens,
          seconds + itsSeconds,
          steps + 1);
    }

    public double loss() {
      return entropy / Math.max(guesses, 1e-9);
    }

    double accuracy() {
      return right / Math.max(guesses, 1e-9);
    }

    double gradientNorm() {
      return norm / Math.max(steps, 1);
    }

    public double tokensPerSecond() {
      return seconds == 0 ? 0 : tokens / seconds;
    }

    double secondsPerStep() {
      return seconds / Math.max(steps, 1);
    }
  }
}
