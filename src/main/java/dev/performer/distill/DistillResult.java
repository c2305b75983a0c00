package dev.performer.distill;

import dev.performer.training.run.TrainingResult;

/**
 * What a student learned.
 *
 * @param before evaluation before the first step
 * @param best of all evaluations
 * @param bestStep its step; of several stages, the sum of the steps that weights were taken from
 * @param steps optimizer steps done
 * @param finished whether all steps were done or the target was reached; false after Ctrl-C
 * @param reachedTarget whether there was a target and the best evaluation reached it
 * @param tokens real tokens seen
 * @param seconds in training steps
 */
public record DistillResult(
    DistillEvaluation before,
    DistillEvaluation best,
    long bestStep,
    long steps,
    boolean finished,
    boolean reachedTarget,
    long tokens,
    double seconds) {
  /** Of a training and the one that went on from it; steps are those of both. */
  public DistillResult then(DistillResult next) {
    return new DistillResult(
        before,
        next.best,
        bestStep + next.bestStep,
        steps + next.steps,
        next.finished,
        next.reachedTarget,
        tokens + next.tokens,
        seconds + next.seconds);
  }

  static DistillResult of(TrainingResult result, boolean reachedTarget) {
    return new DistillResult(
        DistillEvaluation.of(result.before()),
        DistillEvaluation.of(result.best()),
        result.bestStep(),
        result.steps(),
        result.finished(),
        reachedTarget,
        result.tokens(),
        result.seconds());
  }
}
