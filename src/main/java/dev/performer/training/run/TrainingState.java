package dev.performer.training.run;

import dev.performer.data.BatchPosition;

/**
 * Where a run stands, besides the values of its variables.
 *
 * @param step optimizer steps done
 * @param position the next training batch
 * @param before the evaluation before the first step
 * @param latest the latest evaluation
 * @param best the best evaluation so far
 * @param bestStep its step
 * @param tokens real tokens seen in training
 * @param seconds time spent in training steps
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
    Interval interval) {

  public TrainingState {
    interval = interval == null ? Interval.EMPTY : interval;
  }

  public static TrainingState start(Evaluation before) {
    return new TrainingState(0, BatchPosition.START, before, before, before, 0, 0, 0, null);
  }

  public TrainingState afterStep(BatchPosition next, long moreTokens, double moreSeconds) {
    return new TrainingState(
        step + 1,
        next,
        before,
        latest,
        best,
        bestStep,
        tokens + moreTokens,
        seconds + moreSeconds,
        interval);
  }

  public TrainingState withInterval(Interval other) {
    return new TrainingState(
        step, position, before, latest, best, bestStep, tokens, seconds, other);
  }

  /**
   * After an evaluation.
   *
   * @param better whether it is the best so far
   */
  public TrainingState withEvaluation(Evaluation evaluation, boolean better) {
    return new TrainingState(
        step,
        position,
        before,
        evaluation,
        better ? evaluation : best,
        better ? step : bestStep,
        tokens,
        seconds,
        interval);
  }

  public boolean standsAtBest() {
    return bestStep == step;
  }
}
