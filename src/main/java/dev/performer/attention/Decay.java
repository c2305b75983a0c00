package dev.performer.attention;

import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/**
 * What is left of each of n places at each other, by the logarithms of their gates: factors of at
 * most 1, each the exponential of a sum of gates between two places. Those sums are differences of
 * float64 ones, so nothing of them is lost behind a gate near 0, and none is positive.
 *
 * @param between {@code [..., n, n]}: of place j at place i behind it; 1 where it is not
 * @param fromStart {@code [..., n, 1]}: at each place of what was there before the first
 * @param toEnd {@code [..., n, 1]}: of each place behind the last
 * @param total {@code [...]}: sum of all logarithms
 */
record Decay<T extends TFloating>(
    Operand<T> between, Operand<T> fromStart, Operand<T> toEnd, Operand<TFloat64> total) {
  /** exp of it is 0 in float64 and float32, and a million of them still have exact sums. */
  private static final double LOWEST = -1000;

  /** Logarithms of gates as all here takes them: bounded, and 0 at padding, whose gate is 1. */
  static <T extends TFloating> Operand<T> counted(Ops tf, Operand<T> logs, Operand<T> keyMask) {
    Operand<T> bounded = tf.math.maximum(logs, Algebra.of(tf, logs).constant(LOWEST));
    return keyMask == null
        ? bounded
        : tf.math.mul(bounded, LinearAttention.maskColumn(tf, keyMask)); // [B, H, S, 1]
  }

  /**
   * Of places whose own gate acts before they are read, as positions, or after, as whole chunks.
   *
   * @param logs {@code [..., n]}, none positive
   */
  static <T extends TFloating> Decay<T> of(
      Algebra<T> a, Operand<TFloat64> logs, boolean readsBefore) {
    Ops tf = a.tf();
    Operand<TFloat64> upTo = tf.math.cumsum(logs, tf.constant(-1)); // [..., n]
    Operand<TFloat64> read = readsBefore ? tf.math.sub(upTo, logs) : upTo;
    Operand<TFloat64> total = tf.sum(logs, tf.array(-1)); // [...]
    Operand<TFloat64> behind = tf.math.sub(tf.expandDims(total, tf.constant(-1)), upTo);
    return new Decay<>(
        tf.math.exp(lower(tf, difference(a, read, upTo), readsBefore)),
        tf.expandDims(tf.math.exp(a.cast(read)), tf.constant(-1)),
        tf.expandDims(tf.math.exp(a.cast(behind)), tf.constant(-1)),
        total);
  }

  /** {@code x_i − y_j}, {@code [..., n, n]}, exact to float32 where it is small. */
  private static <T extends TFloating> Operand<T> difference(
      Algebra<T> a, Operand<TFloat64> x, Operand<TFloat64> y) {
    Ops tf = a.tf();
    Operand<T> high = pairs(tf, a.cast(x), a.cast(y));
    return a.type() == TFloat32.class ? tf.math.add(high, pairs(tf, rest(a, x), rest(a, y))) : high;
  }

  private static <T extends TFloating> Operand<T> pairs(Ops tf, Operand<T> x, Operand<T> y) {
    return tf.math.sub(tf.expandDims(x, tf.constant(-1)), tf.expandDims(y, tf.constant(-2)));
  }

  /** 0 where a place is not behind the other, and no sum of gates. */
  static <T extends TFloating> Operand<T> lower(Ops tf, Operand<T> x, boolean isStrict) {
    Operand<T> lower = tf.linalg.bandPart(x, tf.constant(-1L), tf.constant(0L));
    return isStrict
        ? tf.math.sub(lower, tf.linalg.bandPart(x, tf.constant(0L), tf.constant(0L)))
        : lower;
  }

  /** What rounding takes from a number. */
  private static <T extends TFloating> Operand<T> rest(Algebra<T> a, Operand<TFloat64> x) {
    Ops tf = a.tf();
    return a.cast(tf.math.sub(x, tf.dtypes.cast(a.cast(x), TFloat64.class)));
  }
}
