package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * Our positive features. With x' = s·x, {@code φ(k) = exp(−|ω−k'|²/2 + D/2)} and {@code φ(q) =
 * exp(ω·q' + |ω|²/2 − max)}.
 *
 * <p>It is the estimator of the paper's lemma 1: the factor exp(|ω|²/2) moves from keys to queries,
 * where the maximum over features takes care of it and cancels in the division. Keys are bounded,
 * so they need no maximum over positions. Norms and lengths ride as columns of the projection's
 * product, so keys are one product and one exp.
 */
record CentredFeatures(
    Kernel kernel, Convention.Exponential rule, Operand<? extends TNumber> projection)
    implements FeatureMap {

  /** exp(x) of float32 stays finite, and so does a sum of many, up to here. */
  private static final double LARGEST_EXPONENT = 60;

  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    long headSize = Algebra.size(queries, -1, "the head size");
    double scale = rule.scale().of(headSize);
    Operand<T> directions = directions(a); // [M, D]
    Operand<T> lengths = lengths(a, directions, headSize); // [1, M]
    Operand<T> scaled = a.times(transpose(a, directions), scale); // [D, M]
    return new Features<>(
        queries(a, queries, scaled, lengths, headSize), keys(a, keys, scaled, lengths, scale));
  }

  private <T extends TFloating> Operand<T> queries(
      Algebra<T> a, Operand<T> queries, Operand<T> scaled, Operand<T> lengths, long headSize) {
    Ops tf = a.tf();
    Operand<T> rows = a.concat(-1, List.of(queries, a.onesColumn(queries))); // [B, H, L, D+1]
    Operand<T> u = a.rowsTimes(rows, a.concat(0, List.of(scaled, lengths))); // [B, H, L, M]
    Operand<T> max = a.max(u, Maximum.FEATURES.axes()); // [B, H, L, 1]
    if (!(rule.denominator() instanceof Denominator.Absent)) {
      max = a.plus(tf.stopGradient(max), -headroom(headSize)); // both cancel in the division
    }
    return a.plus(tf.math.exp(tf.math.sub(u, max)), rule.epsilon());
  }

  /**
   * Up to exp(40) instead of 1 for features of queries, so that products with features of far keys,
   * near exp(−80), stay above the smallest float32; those of the nearest keys, exp(D/2), keep room.
   */
  private double headroom(long headSize) {
    return kernel == Kernel.EXPMOD ? 0 : Math.max(0, Math.min(40, 72 - headSize / 2.0));
  }

  private <T extends TFloating> Operand<T> keys(
      Algebra<T> a, Operand<T> keys, Operand<T> scaled, Operand<T> lengths, double scale) {
    Ops tf = a.tf();
    Operand<T> ones = a.onesColumn(keys);
    if (kernel == Kernel.EXPMOD) { // no norm term, so not bounded by itself
      Operand<T> u =
          a.rowsTimes(
              a.concat(-1, List.of(keys, ones)),
              a.concat(0, List.of(scaled, tf.math.neg(lengths))));
      return a.plus(tf.math.exp(tf.math.minimum(u, a.constant(LARGEST_EXPONENT))), rule.epsilon());
    }
    Operand<T> norms = a.times(a.squaredNorm(keys), -scale * scale / 2); // [B, H, S, 1]
    Operand<T> rows = a.concat(-1, List.of(keys, norms, ones)); // [B, H, S, D+2]
    Operand<T> matrix =
        a.concat(
            0,
            List.of(
                scaled,
                tf.fill(tf.shape(lengths), a.constant(1)),
                tf.math.neg(lengths))); // [D+2, M]
    return a.plus(tf.math.exp(a.rowsTimes(rows, matrix)), rule.epsilon());
  }

  /** P, and −P under it for hyperbolic features. */
  private <T extends TFloating> Operand<T> directions(Algebra<T> a) {
    Operand<T> p = a.cast(projection);
    return kernel == Kernel.HYPERBOLIC ? a.concat(0, List.of(p, a.tf().math.neg(p))) : p;
  }

  /** {@code (|ω|² − D)/2}: near 0, so that float32 keeps it exactly enough. */
  private static <T extends TFloating> Operand<T> lengths(
      Algebra<T> a, Operand<T> directions, long headSize) {
    Operand<T> squares = transpose(a, a.squaredNorm(directions)); // [1, M]
    return a.times(a.plus(squares, -headSize), 0.5);
  }

  private static <T extends TFloating> Operand<T> transpose(Algebra<T> a, Operand<T> matrix) {
    return a.tf().linalg.transpose(matrix, a.tf().constant(new int[] {1, 0}));
  }
}
