package dev.performer.training.run;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.performer.data.BatchPosition;

/**
 * Where a run stands, besides the values of its variables.
 *
 * @param step optimizer steps done
 * @param position the next training batch
 * @param before the evaluation before the first step
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
    return new TrainingState(
        step + 1,
        next,
        before,
        latest,
        best,
        bestStep,
        tokens + measured.tokens(),
        seconds + moreSeconds,
        validation,
        interval.plus(measured, moreSeconds));
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
}
