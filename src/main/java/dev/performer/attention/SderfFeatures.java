package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * Features of FAVOR# for centred queries and keys: with {@code q̃ = q'−c_q}, {@code k̃ = k'−c_k}
 * and points {@code g = ±ω √(1−4A) Uᵀ} of each head,
 *
 * <pre>
 *   φ(q) = exp(ωᵀAω + g·q̃ − max)
 *   φ(k) = exp(ωᵀAω + g·k̃ − |k̃|²/2 + c_q·k̃)
 * </pre>
 *
 * whose products have the mean {@code exp(q'·k')} times a factor of the query, for any A below 1/8,
 * any orthogonal U and any centres: {@code E exp(2 ωᵀAω + g·s) = exp(|s|²/2) / √det(1−4A)}.
 *
 * @see <a href="https://arxiv.org/abs/2302.00787">FAVOR#, sections 4 and 5</a>
 */
record SderfFeatures(
    FavorConfig config, Operand<? extends TNumber> projection, Calibration calibration)
    implements ProjectedFeatures {
  // 2 ωᵀAω = (|ω|² − |g|²)/2. It is parted so that keys as calibration saw them, k̃ ~ N(0, Λ/2),
  // have features of mean 1: keys get h − |g|²/2 with h = Σ (t ω² + log(1+Λ/2))/2, queries
  // |ω|²/2 − h, whose greatest features are then those that count. All is linear in [x, |x|², 1],
  // so it is one product.

  /** As of {@link CentredFeatures}: products of features and their sums stay in float32. */
  private static final double HEADROOM = 40;

  private static final double LARGEST_KEY = 32;

  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    long headSize = Algebra.size(queries, -1, "the head size");
    double scale = config.convention().softmax().scale().of(headSize);
    Points<T> points = points(a);
    Operand<T> rows = a.concat(-1, List.of(queries, a.onesColumn(queries))); // [B, H, L, D+1]
    Operand<T> u = a.matMulTransposed(rows, points.ofQueries(a, scale)); // [B, H, L, R]
    Operand<T> max = a.max(u, Convention.Maximum.FEATURES.axes()); // [B, H, L, 1]
    if (config.renormalize()) { // both cancel in the division
      max = a.plus(tf.stopGradient(max), -HEADROOM);
    }
    Operand<T> shift = max;
    double epsilon = config.exponentialEpsilon();
    Operand<T> norms = a.times(a.squaredNorm(keys), -scale * scale / 2); // [B, H, S, 1]
    Operand<T> columns = a.concat(-1, List.of(keys, norms, a.onesColumn(keys)));
    Operand<T> v = a.matMulTransposed(columns, points.ofKeys(a, scale)); // [B, H, S, R]
    return new Features<>(
        a.plus(tf.math.exp(tf.math.sub(u, shift)), epsilon),
        a.plus(tf.math.exp(tf.math.minimum(v, a.constant(LARGEST_KEY))), epsilon),
        () -> points.logScale(a, queries, shift, scale));
  }

  /** What keys and queries are multiplied with. */
  private record Points<T extends TFloating>(
      Operand<T> g, // [H, R, D], those of −ω behind those of ω
      Operand<T> halfLengths, // |ω|²/2, [1, R, 1]
      Operand<T> logVolume, // log det(1−4A)/2, [H, 1]
      Operand<T> shifts, // h, [H, R, 1]
      Operand<T> queryCentre, // [H, D]
      Operand<T> keyCentre) { // [H, D]
    static <T extends TFloating> Points<T> mirrored(
        Algebra<T> a,
        Operand<T> g, // [H, M, D]
        Operand<T> halfLengths, // [1, M, 1]
        Operand<T> logVolume,
        Operand<T> shifts, // [H, M, 1]
        Operand<T> queryCentre,
        Operand<T> keyCentre) {
      return new Points<>(
          a.concat(1, List.of(g, a.tf().math.neg(g))),
          a.concat(1, List.of(halfLengths, halfLengths)),
          logVolume,
          a.concat(1, List.of(shifts, shifts)),
          queryCentre,
          keyCentre);
    }

    /** {@code [H, R, D+1]} for rows of {@code [q, 1]}. */
    Operand<T> ofQueries(Algebra<T> a, double scale) {
      Ops tf = a.tf();
      Operand<T> off = tf.math.sub(tf.math.sub(halfLengths, shifts), along(a, queryCentre));
      return a.concat(-1, List.of(a.times(g, scale), off));
    }

    /** {@code [H, R, D+2]} for rows of {@code [k, −|k'|²/2, 1]}. */
    Operand<T> ofKeys(Algebra<T> a, double scale) {
      Ops tf = a.tf();
      var both = tf.expandDims(tf.math.add(queryCentre, keyCentre), tf.constant(1)); // [H, 1, D]
      Operand<T> linear = a.times(tf.math.add(g, both), scale);
      Operand<T> inner = a.sum(tf.math.mul(queryCentre, keyCentre), -1); // [H, 1]
      Operand<T> ofCentres = tf.math.add(inner, a.times(a.squaredNorm(keyCentre), 0.5));
      Operand<T> ofPoints = tf.math.add(a.times(a.squaredNorm(g), 0.5), along(a, keyCentre));
      Operand<T> all = tf.math.add(ofPoints, tf.expandDims(ofCentres, tf.constant(1)));
      return a.concat(-1, List.of(linear, a.onesColumn(g), tf.math.sub(shifts, all)));
    }

    /** {@code log R − log det(1−4A)/2 + |q̃|²/2 − q'·c_k − shift}, {@code [B, H, L, 1]}. */
    Operand<T> logScale(Algebra<T> a, Operand<T> queries, Operand<T> shift, double scale) {
      Ops tf = a.tf();
      Operand<T> scaled = a.times(queries, scale);
      Operand<T> centred = tf.math.sub(scaled, tf.expandDims(queryCentre, tf.constant(1)));
      Operand<T> keys = tf.math.mul(scaled, tf.expandDims(keyCentre, tf.constant(1)));
      var ofQuery = tf.math.sub(a.times(a.squaredNorm(centred), 0.5), a.sum(keys, -1));
      double count = Math.log(Algebra.size(g, 1, "the number of features"));
      Operand<T> volume = tf.expandDims(a.plus(tf.math.neg(logVolume), count), tf.constant(1));
      return tf.math.add(tf.math.sub(ofQuery, shift), volume);
    }

    /** {@code g·c}, {@code [H, R, 1]}. */
    private Operand<T> along(Algebra<T> a, Operand<T> centre) {
      return a.sum(a.tf().math.mul(g, a.tf().expandDims(centre, a.tf().constant(1))), -1);
    }
  }

  private <T extends TFloating> Points<T> points(Algebra<T> a) {
    Ops tf = a.tf();
    Operand<T> p = a.cast(projection); // [M, D]
    Operand<T> squares = tf.math.square(p);
    Operand<T> halves = tf.expandDims(a.times(a.sum(squares, -1), 0.5), tf.constant(0));
    if (calibration == null) {
      Operand<T> zeros = a.times(tf.slice(p, tf.array(0, 0), tf.array(1, -1)), 0); // [1, D]
      Operand<T> none = a.sum(zeros, -1); // [1, 1]
      var points = tf.expandDims(p, tf.constant(0));
      return Points.mirrored(a, points, halves, none, halves, zeros, zeros);
    }
    Operand<T> amounts = a.cast(calibration.amounts()); // [H, D]
    Operand<T> rest = a.plus(a.times(amounts, -4), 1); // 1−4A
    // Λ of which A is the best, 2A(8A−1)/(1−4A), and t = (1−4A)/(1+Λ/2)
    Operand<T> half =
        tf.math.div(tf.math.mul(amounts, a.plus(a.times(amounts, 8), -1)), rest); // Λ/2
    Operand<T> spread = a.plus(half, 1);
    Operand<T> logs = a.times(a.sum(tf.math.log(spread), -1), 0.5); // [H, 1]
    Operand<T> quadratic = a.times(a.matMulTransposed(squares, tf.math.div(rest, spread)), 0.5);
    Operand<T> shifts = // [H, M]
        tf.math.add(a.transpose(quadratic), logs);
    return Points.mirrored(
        a,
        a.cast(calibration.directions()),
        halves,
        a.times(a.sum(tf.math.log(rest), -1), 0.5),
        tf.expandDims(shifts, tf.constant(2)),
        a.cast(calibration.queryCentre()),
        a.cast(calibration.keyCentre()));
  }
}
