package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.function.UnaryOperator;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/** {@code f(P s x) + ε} with 1/√M where the convention has it (paper, equation 4). */
final class GeneralizedFeatures implements FeatureMap {
  private final Kernel kernel; // null for a custom function
  private final UnaryOperator<? extends Operand<?>> custom;
  private final Convention.Generalized rule;
  private final Operand<? extends TNumber> projection;

  GeneralizedFeatures(
      Kernel kernel, Convention.Generalized rule, Operand<? extends TNumber> projection) {
    this.kernel = kernel;
    this.custom = null;
    this.rule = rule;
    this.projection = projection;
  }

  GeneralizedFeatures(
      UnaryOperator<? extends Operand<?>> custom,
      Convention.Generalized rule,
      Operand<? extends TNumber> projection) {
    this.kernel = null;
    this.custom = custom;
    this.rule = rule;
    this.projection = projection;
  }

  @Override
  public <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    return new Features<>(side(a, queries), side(a, keys));
  }

  private <T extends TFloating> Operand<T> side(Algebra<T> a, Operand<T> x) {
    Ops tf = a.tf();
    double scale = rule.scale().of(Algebra.size(x, -1, "the head size"));
    double epsilon = kernel == null ? 0 : rule.epsilonOf(kernel);
    if (projection == null) {
      return a.plus(apply(a, a.times(x, scale)), epsilon);
    }
    Operand<T> matrix =
        tf.linalg.transpose(a.cast(projection), tf.constant(new int[] {1, 0})); // [D, M]
    double ratio = 1 / Math.sqrt(Algebra.size(matrix, 1, "the number of features"));
    double inside = rule.ratio() == Convention.Ratio.INSIDE ? ratio : 1;
    Operand<T> u = a.rowsTimes(x, a.times(matrix, scale * inside)); // [B, H, L, M]
    double outside = rule.ratio() == Convention.Ratio.OUTSIDE ? ratio : 1;
    return a.times(a.plus(apply(a, u), epsilon), outside);
  }

  @SuppressWarnings("unchecked")
  private <T extends TFloating> Operand<T> apply(Algebra<T> a, Operand<T> x) {
    Ops tf = a.tf();
    if (kernel == null) {
      return ((UnaryOperator<Operand<T>>) custom).apply(x);
    }
    return switch (kernel) {
      case RELU -> tf.nn.relu(x);
      case ELU, SHIFTED_ELU -> a.plus(tf.nn.elu(x), 1);
      case SQUARE -> tf.math.square(x);
      case EXP -> tf.math.exp(x);
      case IDENTITY -> x;
      case GELU -> tf.math.mul(a.times(x, 0.5), a.plus(tf.math.erf(a.times(x, Math.sqrt(0.5))), 1));
      case TANH -> tf.math.tanh(x);
      case SIGMOID -> tf.math.sigmoid(x);
      case COS -> tf.math.cos(x);
      case SIN -> tf.math.sin(x);
      case ABS -> tf.math.abs(x);
      case REQU -> tf.math.square(tf.nn.relu(x));
      case SOFTMAX, HYPERBOLIC, TRIGONOMETRIC, FAVOR_PLUS_PLUS, EXPMOD ->
          throw new IllegalStateException(kernel + " is no generalized kernel");
    };
  }
}
