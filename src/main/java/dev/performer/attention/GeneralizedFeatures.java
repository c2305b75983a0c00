package dev.performer.attention;

import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * {@code f(P s x) + ε} with 1/√M where the convention has it (paper, equation 4).
 *
 * @param function f
 * @param rule of the convention
 * @param epsilon ε
 * @param projection {@code [M, D]}, or null: {@code f(s x) + ε}
 */
record GeneralizedFeatures(
    Kernel.Function function,
    Convention.Generalized rule,
    double epsilon,
    Operand<? extends TNumber> projection)
    implements FeatureMap {

  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    return new Features<>(side(a, queries), side(a, keys));
  }

  @Override
  public long features(long headSize) {
    return projection == null ? headSize : Algebra.size(projection, 0, "the number of directions");
  }

  private <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x) {
    double scale = rule.scale().of(Algebra.size(x, -1, "the head size"));
    if (projection == null) {
      return a.plus(function.apply(a, a.times(x, scale)), epsilon);
    }
    Operand<T> matrix = a.transpose(a.cast(projection)); // [D, M]
    double ratio = 1 / Math.sqrt(Algebra.size(matrix, 1, "the number of features"));
    double inside = rule.ratio() == Convention.Ratio.INSIDE ? ratio : 1;
    Operand<T> u = a.rowsTimes(x, a.times(matrix, scale * inside)); // [B, H, L, M]
    double outside = rule.ratio() == Convention.Ratio.OUTSIDE ? ratio : 1;
    return a.times(a.plus(function.apply(a, u), epsilon), outside);
  }
}
