package dev.performer.training.run;

import com.fasterxml.jackson.annotation.JsonIgnore;

/**
 * Sums over the steps since the last line of metrics. A checkpoint holds them, so that a resumed
 * run writes the same lines.
 *
 * @param entropy cross-entropy over all guesses, in nats
 * @param right guesses that are right
 * @param guesses all of them
 * @param norm sum of gradient norms
 * @param tokens real tokens seen
 * @param seconds time it took
 * @param steps optimizer steps
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

  public Interval plus(StepMeasures step, double moreSeconds) {
    return new Interval(
        entropy + step.entropy(),
        right + step.right(),
        guesses + step.guesses(),
        norm + step.gradientNorm(),
        tokens + step.tokens(),
        seconds + moreSeconds,
        steps + 1);
  }

  @JsonIgnore
  public double loss() {
    return entropy / Math.max(guesses, 1e-9);
  }

  @JsonIgnore
  double accuracy() {
    return right / Math.max(guesses, 1e-9);
  }

  @JsonIgnore
  double gradientNorm() {
    return norm / Math.max(steps, 1);
  }

  @JsonIgnore
  public double tokensPerSecond() {
    return seconds == 0 ? 0 : tokens / seconds;
  }

  @JsonIgnore
  double secondsPerStep() {
    return seconds / Math.max(steps, 1);
  }
}
