package dev.performer.attention;

/**
 * What queries and keys are each multiplied by before the projection: {@code factor · D^exponent}.
 *
 * @param factor a plain number
 * @param exponent power of the head size D
 */
public record Scale(double factor, double exponent) {
  /** No scaling. */
  public static final Scale NONE = new Scale(1, 0);

  /** {@code D^-1/4} on each side: {@code 1/√D} on their product, as softmax attention has it. */
  public static final Scale SOFTMAX = new Scale(1, -0.25);

  /** The number for one head size. */
  public double of(long headSize) {
    return factor * Math.pow(headSize, exponent);
  }
}
