package dev.performer.attention;

import dev.performer.attention.Convention.Maximum;
import dev.performer.attention.Convention.Ratio;
import dev.performer.attention.Convention.Stabilizer;
import dev.performer.attention.Kernel.Function;
import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/** The maps of a configuration; those here make the features of each side from it alone. */
interface ProjectedFeatures extends FeatureMap {
  FavorConfig config();

  /** {@code [M, D]}, or null. */
  Operand<? extends TNumber> projection();

  @Override
  default long features(long headSize) {
    return projection() == null
        ? headSize
        : Algebra.size(projection(), 0, "the number of directions")
            * config().meantKernel().featuresPerDirection();
  }

  /** One that maps queries without a look at keys, and keys without one at queries. */
  interface BySide extends ProjectedFeatures {
    <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x, boolean isQuery);

    @Override
    default <T extends TFloating> Features<T> map(
        Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
      Algebra<T> a = Algebra.of(tf, queries);
      return new Features<>(
          side(a, queries, true),
          side(a, keys, false),
          estimatesSoftmax() ? () -> logScale(a, queries) : null);
    }

    /** Whether there is a {@link Features#logScale}. */
    default boolean estimatesSoftmax() {
      return false;
    }

    /** The factor of queries that is left out: none here. */
    default <T extends TFloating> Operand<T> logScale(Algebra<T> a, Operand<T> queries) {
      return null;
    }
  }

  /**
   * {@code f(P s x) + ε} with 1/√M where the convention has it (paper, equation 4); {@code f(s x) +
   * ε} without a projection.
   */
  record Generalized(
      FavorConfig config, Function f, double epsilon, Operand<? extends TNumber> projection)
      implements BySide {
    @Override
    public <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x, boolean isQuery) {
      var rule = config.convention().generalized();
      double scale = rule.scale().of(Algebra.size(x, -1, "the head size"));
      if (projection == null) {
        return a.plus(f.apply(a, a.times(x, scale)), epsilon);
      }
      Operand<T> matrix = a.cast(projection); // [M, D]
      double ratio = 1 / Math.sqrt(Algebra.size(matrix, 0, "the number of features"));
      double inside = rule.ratio() == Ratio.INSIDE ? ratio : 1;
      Operand<T> u = a.rowsTimesRows(x, a.times(matrix, scale * inside)); // [B, H, L, M]
      double outside = rule.ratio() == Ratio.OUTSIDE ? ratio : 1;
      return a.times(a.plus(f.apply(a, u), epsilon), outside);
    }
  }

  /**
   * {@code exp(|x'|²/2 − max) [cos ω·x', sin ω·x']/√M}, all cosines first. Features can be
   * negative, so denominators can vanish: kept for comparison (paper, section 2.3).
   *
   * <p>Google's maximum is over all positions; ours is a bound that no real key reaches.
   */
  record Trigonometric(FavorConfig config, Operand<? extends TNumber> projection)
      implements BySide {
    private static final double LARGEST_EXPONENT = 60;

    @Override
    public <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x, boolean isQuery) {
      Ops tf = a.tf();
      var rule = config.convention().softmax();
      Operand<T> scaled = a.times(x, rule.scale().of(Algebra.size(x, -1, "the head size")));
      Operand<T> matrix = a.transpose(a.cast(projection)); // [D, M]
      Operand<T> u = a.rowsTimes(scaled, matrix); // [B, H, L, M]
      Operand<T> waves = a.concat(-1, List.of(tf.math.cos(u), tf.math.sin(u))); // [B, H, L, R]
      Operand<T> exponents = a.times(a.squaredNorm(scaled), 0.5); // [B, H, L, 1]
      boolean centred = rule.stabilizer() instanceof Stabilizer.Centred;
      Operand<T> bounded =
          centred
              ? tf.math.minimum(exponents, a.constant(LARGEST_EXPONENT))
              : tf.math.sub(exponents, a.max(exponents, Maximum.LENGTH_AND_FEATURES.axes()));
      double ratio = 1 / Math.sqrt(Algebra.size(matrix, 1, "the number of directions"));
      if (isQuery && centred && config.renormalize()) {
        return a.times(waves, ratio); // the factor of a query cancels in the division
      }
      return tf.math.mul(waves, a.times(tf.math.exp(bounded), ratio));
    }

    @Override
    public boolean estimatesSoftmax() {
      return config.convention().softmax().stabilizer() instanceof Stabilizer.Centred
          && config.renormalize();
    }

    /** {@code −|q'|²/2}. */
    @Override
    public <T extends TFloating> Operand<T> logScale(Algebra<T> a, Operand<T> queries) {
      double scale =
          config.convention().softmax().scale().of(Algebra.size(queries, -1, "the head size"));
      return a.times(a.squaredNorm(queries), -scale * scale / 2); // [B, H, L, 1]
    }
  }

  /**
   * Google's positive features, {@code (exp(ω·x' − |x'|²/2 − max) + ε)/√R}; without the norm term
   * its place has the constant {@code √D/2}. Without a projection ω·x' is x' itself.
   */
  record Stabilized(FavorConfig config, Operand<? extends TNumber> projection) implements BySide {
    @Override
    public <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x, boolean isQuery) {
      Exponents<T> e = exponents(a, x);
      Operand<T> max = a.max(e.projected(), (isQuery ? maxima().query() : maxima().key()).axes());
      return a.times(a.plus(e.exp(a, max), config.exponentialEpsilon()), e.ratio());
    }

    Stabilizer.Maxima maxima() {
      return (Stabilizer.Maxima) config.convention().softmax().stabilizer();
    }

    <T extends TFloating> Exponents<T> exponents(Algebra<T> a, Operand<T> x) {
      var form = (Kernel.Positive) config.meantKernel().form();
      long headSize = Algebra.size(x, -1, "the head size");
      Operand<T> scaled = a.times(x, config.convention().softmax().scale().of(headSize));
      Operand<T> u = scaled;
      double ratio = 1;
      if (projection != null) {
        Operand<T> directions =
            PositiveFeatures.directions(a, a.cast(projection), form.isMirrored()); // [R, D]
        u = a.rowsTimesRows(scaled, directions); // [B, H, L, R]
        ratio = 1 / Math.sqrt(Algebra.size(directions, 0, "the number of features"));
      }
      return form.hasNorm()
          ? new Exponents<>(u, a.times(a.squaredNorm(scaled), 0.5), 1, ratio)
          : new Exponents<>(u, null, Math.exp(-Math.sqrt(headSize) / 2), ratio);
    }

    /** What stands in the exponential. */
    record Exponents<T extends TFloating>(
        Operand<T> projected, // ω·x', [B, H, L, R]
        Operand<T> norms, // |x'|²/2, [B, H, L, 1]; null without
        double constant, // factor of the exponential
        double ratio) { // 1/√R
      /** The exponential under a maximum that is given. */
      Operand<T> exp(Algebra<T> a, Operand<T> max) {
        Operand<T> shift = norms == null ? max : a.tf().math.add(norms, max);
        return a.times(a.tf().math.exp(a.tf().math.sub(projected, shift)), constant);
      }
    }
  }
}
