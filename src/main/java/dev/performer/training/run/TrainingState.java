package dev.performer.training.run;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.performer.data.BatchPosition;
import java.nio.file.Path;
import java.util.List;

/**
 * Where a run stands, besides the values of its variables.
 *
 * @param step optimizer steps done
 * @param position the next training batch
 * @param bestStep that of the best evaluation so far
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

  public TrainingResult result(boolean finished, Path checkpoint, List<String> unused) {
    double rate = seconds == 0 ? 0 : tokens / seconds;
    return new TrainingResult(
        before, latest, best, bestStep, step, finished, tokens, seconds, rate, checkpoint, unused);
  }

  /**
   * Sums over a step, or over those since the last line of metrics. A checkpoint holds them, so
   * that a resumed run writes the same lines.
   *
   * @param entropy cross-entropy over all guesses, in nats
   * @param norm of gradients before clipping
   * @param tokens real tokens seen
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
