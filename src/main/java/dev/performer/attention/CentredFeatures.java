package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * Our positive features, {@link PositiveFeatures} in a form that is fast and stays in the range of
 * float32: {@code φ(k) = exp(−|ω−k'|²/2 + D/2)} and {@code φ(q) = exp(ω·q' + |ω|²/2 − max)}.
 */
record CentredFeatures(FavorConfig config, Operand<? extends TNumber> projection)
    implements ProjectedFeatures {
  // Lemma 1 up to factors that cancel: exp(−|q'|²/2) is one of the query, exp(|ω|²/2 − D/2) moves
  // from keys to queries, where the maximum over features takes care of it. What is left of an
  // exponent is linear in x, |x|² and 1, so it is one product with columns for norms and lengths:
  //   queries  [q, 1] · [s P, (|ω|² − D)/2]ᵀ
  //   keys     [k, −s²|k|²/2, 1] · [s P, 1, −(|ω|² − D)/2]ᵀ

  /** exp(x) of float32 stays finite, and so does a sum of many, up to here. */
  private static final double LARGEST_EXPONENT = 60;

  /**
   * Features of queries go up to exp(40) instead of 1, so that products with features of far keys,
   * near exp(−80), stay above the smallest float32.
   */
  private static final double HEADROOM = 40;

  /** Above this, products with features of queries and their sums would leave float32. */
  private static final double LARGEST_KEY = 32;

  /**
   * Beyond D = 64 the bound D/2 of centred keys is above {@link #LARGEST_KEY}. There the lengths of
   * directions stay where the paper has them: ω·k' − |k'|²/2 exceeds 20 only for a key more than 6
   * standard deviations along a direction, and so much room is left above.
   */
  private static final double WIDE_SHIFT = 12;

  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    long headSize = Algebra.size(queries, -1, "the head size");
    double scale = config.convention().softmax().scale().of(headSize);
    Operand<T> directions =
        PositiveFeatures.directions(a, a.cast(projection), form().isMirrored()); // [R, D]
    Operand<T> lengths = lengths(a, directions, headSize); // [R, 1]
    lengths = isWide(headSize) ? tf.zerosLike(lengths) : lengths;
    Operand<T> scaled = a.times(directions, scale); // [R, D]
    Operand<T> rows = a.concat(-1, List.of(queries, a.onesColumn(queries))); // [B, H, L, D+1]
    Operand<T> u = a.rowsTimesRows(rows, a.concat(1, List.of(scaled, lengths))); // [B, H, L, R]
    Operand<T> max = a.max(u, Convention.Maximum.FEATURES.axes()); // [B, H, L, 1]
    if (config.renormalize()) { // both cancel in the division
      max = a.plus(tf.stopGradient(max), form().hasNorm() ? -HEADROOM : 0);
    }
    Operand<T> shift = max;
    Operand<T> phi = a.plus(tf.math.exp(tf.math.sub(u, shift)), config.exponentialEpsilon());
    return new Features<>(
        phi,
        keys(a, keys, scaled, lengths, scale),
        form().hasNorm() ? () -> logScale(a, queries, shift, scale) : null);
  }

  /** Of R products of features: the sum {@code R exp(|q'|²/2 + q'·k') exp(−shift)} in the mean. */
  private <T extends TFloating> Operand<T> logScale(
      Algebra<T> a, Operand<T> queries, Operand<T> shift, double scale) {
    long headSize = Algebra.size(queries, -1, "the head size");
    double constant = Math.log(features(headSize)) + (isWide(headSize) ? WIDE_SHIFT : 0);
    Operand<T> norms = a.times(a.squaredNorm(queries), scale * scale / 2); // [B, H, L, 1]
    return a.plus(a.tf().math.sub(norms, shift), constant);
  }

  private <T extends TFloating> Operand<T> keys(
      Algebra<T> a, Operand<T> keys, Operand<T> scaled, Operand<T> lengths, double scale) {
    Ops tf = a.tf();
    double epsilon = config.exponentialEpsilon();
    Operand<T> ones = a.onesColumn(keys);
    if (!form().hasNorm()) { // not bounded by itself
      Operand<T> rows = a.concat(-1, List.of(keys, ones)); // [B, H, S, D+1]
      Operand<T> u = a.rowsTimesRows(rows, a.concat(1, List.of(scaled, tf.math.neg(lengths))));
      return a.plus(tf.math.exp(tf.math.minimum(u, a.constant(LARGEST_EXPONENT))), epsilon);
    }
    boolean isWide = isWide(Algebra.size(keys, -1, "the head size"));
    Operand<T> norms = a.times(a.squaredNorm(keys), -scale * scale / 2); // [B, H, S, 1]
    Operand<T> rows = a.concat(-1, List.of(keys, norms, ones)); // [B, H, S, D+2]
    Operand<T> column = a.onesColumn(scaled); // [R, 1]
    Operand<T> last = a.plus(tf.math.neg(lengths), isWide ? WIDE_SHIFT : 0);
    Operand<T> matrix = a.concat(1, List.of(scaled, column, last)); // [R, D+2]
    Operand<T> u = a.rowsTimesRows(rows, matrix); // [B, H, S, R]
    Operand<T> bounded = isWide ? tf.math.minimum(u, a.constant(LARGEST_KEY)) : u;
    return a.plus(tf.math.exp(bounded), epsilon);
  }

  private boolean isWide(long headSize) {
    return form().hasNorm() && headSize / 2.0 > LARGEST_KEY;
  }

  private Kernel.Positive form() {
    return (Kernel.Positive) config.meantKernel().form();
  }

  /** {@code (|ω|² − D)/2}: near 0, so that float32 keeps it exactly enough. */
  private static <T extends TFloating> Operand<T> lengths(
      Algebra<T> a, Operand<T> directions, long headSize) {
    return a.times(a.plus(a.squaredNorm(directions), -headSize), 0.5); // [R, 1]
  }
}
