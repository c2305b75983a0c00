package dev.performer.distill;

import dev.performer.training.run.TrainingResult;

/**
 * What a student learned.
 *
 * @param before evaluation before the first step
 * @param best of all evaluations
 * @param bestStep its step
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
