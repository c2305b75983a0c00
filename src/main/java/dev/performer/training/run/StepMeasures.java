package dev.performer.training.run;

/**
 * What a step measured, before its update.
 *
 * @param entropy cross-entropy over all guesses, in nats
 * @param right guesses that are right
 * @param guesses all of them
 * @param gradientNorm before clipping
 * @param tokens real tokens seen
 */
public record StepMeasures(
    double entropy, double right, double guesses, double gradientNorm, long tokens) {
  public double loss() {
    return entropy / Math.max(guesses, 1e-9);
  }
}
