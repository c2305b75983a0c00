package dev.performer.training.run;

/**
 * Sums over a step, or over those since the last line of metrics. A checkpoint holds them, so that
 * a resumed run writes the same lines.
 *
 * @param entropy cross-entropy over all guesses, in nats
 * @param right guesses that are right
 * @param guesses all of them
 * @param norm of gradients before clipping
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
