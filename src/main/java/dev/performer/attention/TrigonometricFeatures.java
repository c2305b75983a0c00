package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * {@code exp(|x'|²/2 − max) [cos ω·x', sin ω·x']/√M}, all cosines first. Features can be negative,
 * so denominators can vanish: kept for comparison (paper, section 2.3).
 *
 * <p>Google's maximum is over all positions; ours is a bound that no real key reaches.
 */
record TrigonometricFeatures(FavorConfig config, Operand<? extends TNumber> projection)
    implements FeatureMap {

  private static final double LARGEST_EXPONENT = 60;

  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    return new Features<>(side(a, queries, true), side(a, keys, false));
  }

  @Override
  public long features(long headSize) {
    return 2 * Algebra.size(projection, 0, "the number of directions");
  }

  private <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x, boolean isQuery) {
    Ops tf = a.tf();
    Convention.Exponential rule = config.convention().softmax();
    Operand<T> scaled = a.times(x, rule.scale().of(Algebra.size(x, -1, "the head size")));
    Operand<T> matrix = a.transpose(a.cast(projection)); // [D, M]
    Operand<T> u = a.rowsTimes(scaled, matrix); // [B, H, L, M]
    Operand<T> waves = a.concat(-1, List.of(tf.math.cos(u), tf.math.sin(u))); // [B, H, L, R]
    Operand<T> exponents = a.times(a.squaredNorm(scaled), 0.5); // [B, H, L, 1]
    boolean centred = rule.stabilizer() instanceof Convention.Stabilizer.Centred;
    Operand<T> bounded =
        centred
            ? tf.math.minimum(exponents, a.constant(LARGEST_EXPONENT))
            : tf.math.sub(
                exponents, a.max(exponents, Convention.Maximum.LENGTH_AND_FEATURES.axes()));
    double ratio = 1 / Math.sqrt(Algebra.size(matrix, 1, "the number of directions"));
    if (isQuery && centred && config.renormalize()) {
      return a.times(waves, ratio); // the factor of a query cancels in the division
    }
    return tf.math.mul(waves, a.times(tf.math.exp(bounded), ratio));
  }
}
