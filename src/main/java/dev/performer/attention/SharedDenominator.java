package dev.performer.attention;

import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBool;
import org.tensorflow.types.family.TFloating;

/** Weighted sums of values of several scales, such as exact and estimated ones, as one mean. */
final class SharedDenominator {
  /** Sums smaller than that are none; larger ones never make a factor beyond float32. */
  private static final double NOTHING = 1e-30;

  private static final double LARGEST_EXPONENT = 80;

  private SharedDenominator() {}

  /**
   * Some sums {@code [v | 1]}, {@code [B, H, L, V+1]}, that mean themselves times {@code
   * exp(logFactor)}, {@code [B, H, L, 1]}.
   */
  record Part<T extends TFloating>(Operand<T> sums, Operand<T> logFactor) {
    /**
     * Of exact weights {@code exp(scores)} under the largest score, which no gradient knows.
     *
     * @param scores {@code [..., L, N]}
     * @param allowed 1 or 0, like them or broadcast; null where {@code values} hold zeros instead
     * @param values {@code [v | 1]}, {@code [..., N, V+1]}
     */
    static <T extends TFloating> Part<T> exact(
        Algebra<T> a, Operand<T> scores, Operand<T> allowed, Operand<T> values) {
      Ops tf = a.tf();
      Operand<T> max = tf.stopGradient(a.max(scores, -1));
      Operand<T> weights = tf.math.exp(tf.math.sub(scores, max));
      weights = allowed == null ? weights : tf.math.mul(weights, allowed);
      return new Part<>(a.matMul(weights, values), max);
    }
  }

  /** The mean over all parts, {@code [B, H, L, V]}. */
  static <T extends TFloating> Operand<T> divided(
      Algebra<T> a, List<Part<T>> parts, Denominator by) {
    Ops tf = a.tf();
    var sizes = parts.stream().map(part -> size(a, part)).toList();
    Operand<T> max = sizes.stream().reduce(tf.math::maximum).orElseThrow(); // [B, H, L, 1]
    Operand<T> all = null;
    for (Part<T> part : parts) {
      Operand<T> exponent = tf.math.sub(part.logFactor(), tf.stopGradient(max));
      Operand<T> bounded = tf.math.minimum(exponent, a.constant(LARGEST_EXPONENT));
      Operand<T> factor = tf.select(counts(a, part), tf.math.exp(bounded), a.constant(0));
      Operand<T> scaled = tf.math.mul(part.sums(), factor);
      all = all == null ? scaled : tf.math.add(all, scaled);
    }
    return LinearAttention.divided(tf, all, by);
  }

  /** The logarithm of a part's denominator, far below all others where there is none. */
  private static <T extends TFloating> Operand<T> size(Algebra<T> a, Part<T> part) {
    Ops tf = a.tf();
    Operand<T> safe = tf.select(counts(a, part), weight(a, part.sums()), a.constant(1));
    Operand<T> log = tf.math.add(part.logFactor(), tf.math.log(safe));
    return tf.select(counts(a, part), log, a.constant(-1e30));
  }

  private static <T extends TFloating> Operand<TBool> counts(Algebra<T> a, Part<T> part) {
    return a.tf().math.greater(weight(a, part.sums()), a.constant(NOTHING));
  }

  /** The magnitude of the denominator of sums {@code [B, H, L, V+1]}, {@code [B, H, L, 1]}. */
  static <T extends TFloating> Operand<T> weight(Algebra<T> a, Operand<T> sums) {
    int last = (int) Algebra.size(sums, -1, "the value size") - 1;
    Ops tf = a.tf();
    return tf.math.abs(tf.slice(sums, tf.array(0, 0, 0, last), tf.array(-1, -1, -1, 1)));
  }
}
