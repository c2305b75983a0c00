package dev.performer.attention;

import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.math.Mean;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * FAVOR++, positive and bounded: {@code φ(x) = (1−4A)^(D/4) exp(A|ω|² + √(1−4A) ω·x' −
 * |x'|²/2)/√M}, with the A that gives the least variance for the mean of |q'+k'|².
 *
 * <p>Our centred form moves exp((½−A)|ω|²) from keys to queries, as {@link CentredFeatures} does,
 * and takes the mean over keys only, so that padding changes nothing.
 *
 * @see <a href="https://arxiv.org/abs/2205.15317">Chefs' Random Tables</a>
 */
record PlusPlusFeatures(FavorConfig config, Operand<? extends TNumber> projection)
    implements ProjectedFeatures {
  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    long headSize = Algebra.size(queries, -1, "the head size");
    Convention.Exponential rule = config.convention().plusPlus();
    double scale = rule.scale().of(headSize);
    Operand<T> q = a.times(queries, scale);
    Operand<T> k = a.times(keys, scale);
    Operand<T> p = a.cast(projection); // [M, D]
    Operand<T> matrix = a.transpose(p); // [D, M]
    Operand<T> squares = a.transpose(a.squaredNorm(p)); // [1, M]
    if (rule.stabilizer() instanceof Convention.Stabilizer.Maxima maxima) {
      Operand<T> ofQueries = amount(a, meanOfPairs(a, q, k), headSize); // [B, H, 1, 1]
      Operand<T> ofKeys = amount(a, meanOfPairs(a, k, q), headSize); // [B, H, 1, 1]
      return new Features<>(
          stabilized(a, q, matrix, squares, ofQueries, maxima.query()),
          stabilized(a, k, matrix, squares, ofKeys, maxima.key()));
    }
    Operand<T> slope = slope(a, amount(a, meanOfKeys(a, k, keyMask), headSize));
    double epsilon = config.exponentialEpsilon();
    Operand<T> lengths = a.times(a.plus(squares, -headSize), 0.5); // [1, M]
    Operand<T> u = tf.math.add(tf.math.mul(slope, a.rowsTimes(q, matrix)), lengths);
    Operand<T> max = a.max(u, Convention.Maximum.FEATURES.axes());
    if (config.renormalize()) {
      max = tf.stopGradient(max); // cancels in the division
    }
    Operand<T> halfNorms = a.times(a.squaredNorm(k), 0.5);
    Operand<T> shift = tf.math.add(halfNorms, tf.math.mul(tf.math.square(slope), lengths));
    Operand<T> v = tf.math.sub(tf.math.mul(slope, a.rowsTimes(k, matrix)), shift);
    Operand<T> left = max;
    Operand<T> largest = largest(a, v, keyMask);
    return new Features<>(
        a.plus(tf.math.exp(tf.math.sub(u, left)), epsilon),
        a.plus(tf.math.exp(belowLargest(a, v, largest)), epsilon),
        () -> logScale(a, q, tf.math.add(left, largest), slope));
  }

  /** Of M products of features without their factor {@code (1−4A)^(D/2) exp(2AD)}. */
  private <T extends TFloating> Operand<T> logScale(
      Algebra<T> a, Operand<T> q, Operand<T> shift, Operand<T> slope) {
    Ops tf = a.tf();
    long headSize = Algebra.size(q, -1, "the head size");
    Operand<T> factor = a.times(tf.math.log(slope), -headSize); // −log (1−4A)^(D/2)
    Operand<T> outside = a.times(a.plus(tf.math.square(slope), -1), headSize / 2.0); // −2AD
    Operand<T> norms = a.times(a.squaredNorm(q), 0.5); // [B, H, L, 1]
    Operand<T> constant = a.plus(tf.math.add(factor, outside), Math.log(features(headSize)));
    return tf.math.add(tf.math.sub(norms, shift), constant);
  }

  private <T extends TFloating> Operand<T> stabilized(
      Algebra<T> a,
      Operand<T> x,
      Operand<T> matrix,
      Operand<T> squares,
      Operand<T> amount,
      Convention.Maximum maximum) {
    Ops tf = a.tf();
    long headSize = Algebra.size(x, -1, "the head size");
    Operand<T> slope = slope(a, amount);
    Operand<T> front = tf.math.pow(slope, a.constant(headSize / 2.0)); // (1−4A)^(D/4)
    Operand<T> u = a.rowsTimes(x, matrix); // [B, H, L, M]
    Operand<T> largest = tf.math.mul(slope, a.max(u, maximum.axes()));
    Operand<T> shift = tf.math.add(largest, a.times(a.squaredNorm(x), 0.5));
    Operand<T> exponent = tf.math.sub(tf.math.mul(slope, u), shift);
    exponent = tf.math.add(exponent, tf.math.mul(amount, squares));
    double ratio = 1 / Math.sqrt(Algebra.size(matrix, 1, "the number of features"));
    return tf.math.mul(
        a.plus(tf.math.exp(exponent), config.exponentialEpsilon()), a.times(front, ratio));
  }

  /**
   * Exponents less their maximum over kept keys, which cancels: slopes grow with the data, so keys
   * are not bounded by themselves. Padded keys are held at 0, so that they stay finite.
   */
  private static <T extends TFloating> Operand<T> belowLargest(
      Algebra<T> a, Operand<T> exponent, Operand<T> largest) {
    return a.tf().math.minimum(a.tf().math.sub(exponent, largest), a.constant(0));
  }

  private static <T extends TFloating> Operand<T> largest(
      Algebra<T> a, Operand<T> exponent, Operand<T> keyMask) {
    Ops tf = a.tf();
    Operand<T> candidates = exponent;
    if (keyMask != null) {
      Operand<T> padding = a.plus(LinearAttention.maskColumn(tf, keyMask), -1); // -1 or 0
      candidates = tf.math.add(exponent, a.times(padding, 1e30));
    }
    return tf.stopGradient(a.max(candidates, Convention.Maximum.LENGTH_AND_FEATURES.axes()));
  }

  /**
   * Mean of |x'+y'|² over all pairs of a head, {@code [B, H, 1, 1]}. As in the official code, the
   * length of x divides both sums, which is that mean only where L = S.
   */
  private static <T extends TFloating> Operand<T> meanOfPairs(
      Algebra<T> a, Operand<T> x, Operand<T> y) {
    Ops tf = a.tf();
    Operand<T> length = a.cast(LinearAttention.length(tf, x)); // [1]
    var squares = tf.math.add(a.sum(tf.math.square(x), 2, 3), a.sum(tf.math.square(y), 2, 3));
    Operand<T> cross = a.times(a.sum(tf.math.mul(a.sum(x, 2), a.sum(y, 2)), 3), 2);
    return tf.math.add(tf.math.div(squares, length), tf.math.div(cross, tf.math.square(length)));
  }

  /** The same mean with a key in place of the query, over kept keys. */
  private static <T extends TFloating> Operand<T> meanOfKeys(
      Algebra<T> a, Operand<T> k, Operand<T> keyMask) {
    Ops tf = a.tf();
    Operand<T> meanSquare = mean(a, a.squaredNorm(k));
    Operand<T> mean = mean(a, k);
    if (keyMask != null) {
      Operand<T> column = LinearAttention.maskColumn(tf, keyMask); // [B, 1, S, 1]
      Operand<T> count = tf.math.maximum(a.sum(column, 2), a.constant(1));
      meanSquare = tf.math.div(a.sum(tf.math.mul(a.squaredNorm(k), column), 2), count);
      mean = tf.math.div(a.sum(tf.math.mul(k, column), 2), count);
    }
    return a.times(tf.math.add(meanSquare, a.squaredNorm(mean)), 2);
  }

  private static <T extends TFloating> Operand<T> mean(Algebra<T> a, Operand<T> x) {
    return a.tf().math.mean(x, a.tf().constant(new int[] {2}), Mean.keepDims(true));
  }

  /**
   * The best A ≤ 0 for a mean of squares; no gradient flows into it, since the estimate has the
   * same mean for every A.
   */
  private static <T extends TFloating> Operand<T> amount(
      Algebra<T> a, Operand<T> meanSquare, long headSize) {
    Ops tf = a.tf();
    Operand<T> positive = tf.math.maximum(meanSquare, a.constant(1e-6)); // 0/0 where all is 0
    Operand<T> twice = a.plus(a.times(positive, 2), headSize);
    var root = tf.math.sqrt(tf.math.add(tf.math.square(twice), a.times(positive, 8.0 * headSize)));
    Operand<T> inner = tf.math.div(tf.math.sub(root, twice), a.times(positive, 4));
    Operand<T> one = a.constant(1);
    return tf.stopGradient(
        a.times(tf.math.sub(one, tf.math.reciprocal(inner)), 0.125)); // [B, H, 1, 1]
  }

  /** √(1−4A). */
  private static <T extends TFloating> Operand<T> slope(Algebra<T> a, Operand<T> amount) {
    return a.tf().math.sqrt(a.plus(a.times(amount, -4), 1));
  }
}
