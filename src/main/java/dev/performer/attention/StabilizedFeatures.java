package dev.performer.attention;

import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * Google's positive features, {@code (exp(ω·x' − |x'|²/2 − max) + ε)/√R}; without the norm term its
 * place has the constant {@code √D/2}. Without a projection ω·x' is x' itself.
 */
record StabilizedFeatures(FavorConfig config, Operand<? extends TNumber> projection)
    implements FeatureMap {

  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    return new Features<>(side(a, queries, maxima().query()), side(a, keys, maxima().key()));
  }

  @Override
  public long features(long headSize) {
    return projection == null
        ? headSize
        : Algebra.size(projection, 0, "the number of directions")
            * config.meantKernel().featuresPerDirection();
  }

  Convention.Stabilizer.Maxima maxima() {
    return (Convention.Stabilizer.Maxima) config.convention().softmax().stabilizer();
  }

  private Kernel.Positive form() {
    return (Kernel.Positive) config.meantKernel().form();
  }

  <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x, Convention.Maximum maximum) {
    Exponents<T> e = exponents(a, x);
    Operand<T> max = a.max(e.projected(), maximum.axes());
    return a.times(a.plus(exp(a, e, max), config.exponentialEpsilon()), e.ratio());
  }

  /**
   * What stands in the exponential.
   *
   * @param projected ω·x', {@code [B, H, L, R]}
   * @param norms |x'|²/2, {@code [B, H, L, 1]}; null without
   * @param constant factor of the exponential
   * @param ratio 1/√R
   */
  record Exponents<T extends TFloating>(
      Operand<T> projected, Operand<T> norms, double constant, double ratio) {}

  <T extends TFloating> Exponents<T> exponents(Algebra<T> a, Operand<T> x) {
    long headSize = Algebra.size(x, -1, "the head size");
    Operand<T> scaled = a.times(x, config.convention().softmax().scale().of(headSize));
    Operand<T> u = scaled;
    double ratio = 1;
    if (projection != null) {
      Operand<T> directions =
          PositiveFeatures.directions(a, a.cast(projection), form().isMirrored()); // [R, D]
      u = a.rowsTimes(scaled, a.transpose(directions)); // [B, H, L, R]
      ratio = 1 / Math.sqrt(Algebra.size(directions, 0, "the number of features"));
    }
    if (!form().hasNorm()) {
      return new Exponents<>(u, null, Math.exp(-Math.sqrt(headSize) / 2), ratio);
    }
    return new Exponents<>(u, a.times(a.squaredNorm(scaled), 0.5), 1, ratio);
  }

  /** The exponential under a maximum that is given. */
  <T extends TFloating> Operand<T> exp(Algebra<T> a, Exponents<T> e, Operand<T> max) {
    Ops tf = a.tf();
    Operand<T> shift = e.norms() == null ? max : tf.math.add(e.norms(), max);
    return a.times(tf.math.exp(tf.math.sub(e.projected(), shift)), e.constant());
  }
}
