package dev.performer.nn;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.graph.GivenGradient;
import dev.performer.graph.Variable;
import dev.performer.nn.Parameters.Initializer;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.math.Mean;
import org.tensorflow.types.TFloat32;

/** {@code (x − mean)/√(variance + ε) · scale + bias} over the last axis. */
public record LayerNorm(Variable scale, Variable bias, double epsilon, Formula formula) {
  /** The two ways to compute a variance; in float32 they differ in the last digits. */
  public enum Formula {
    /** {@code mean((x − mean(x))²)}: Keras, PyTorch. */
    @JsonProperty("two-pass")
    TWO_PASS,
    /** {@code mean(x²) − mean(x)²}: Flax. */
    @JsonProperty("mean-of-squares")
    MEAN_OF_SQUARES
  }

  /** Creates its variables. */
  public static LayerNorm create(Parameters parameters, int size, double epsilon, Formula formula) {
    Variable scale = parameters.trainable("scale", new Initializer.Constant(1), size);
    Variable bias = parameters.trainable("bias", new Initializer.Constant(0), size);
    return new LayerNorm(scale, bias, epsilon, formula);
  }

  /** The outputs, in the shape of {@code x}, {@code [..., E]}. */
  public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> factors = scale.read(tf); // [E]
    Operand<TFloat32> terms = bias.read(tf); // [E]
    Operand<TFloat32> mean = mean(tf, x); // [..., 1]
    Operand<TFloat32> centred = tf.math.sub(x, mean);
    if (formula == Formula.MEAN_OF_SQUARES) {
      // Rounding takes the difference below 0 where a row is nearly constant.
      var difference = tf.math.sub(mean(tf, tf.math.square(x)), tf.math.square(mean));
      var inverse = inverse(tf, tf.math.maximum(difference, tf.constant(0f))); // [..., 1]
      return tf.math.add(tf.math.mul(centred, tf.math.mul(inverse, factors)), terms);
    }
    Operand<TFloat32> inverse = inverse(tf, mean(tf, tf.math.square(centred))); // [..., 1]
    Operand<TFloat32> unit = tf.math.mul(centred, inverse); // [..., E]
    var y = tf.math.add(tf.math.mul(unit, factors), terms);
    var kept = List.of(unit, inverse);
    return GivenGradient.of(tf, y, List.of(x, factors, terms), kept, LayerNorm::gradients);
  }

  private Operand<TFloat32> inverse(Ops tf, Operand<TFloat32> variance) {
    return tf.math.rsqrt(tf.math.add(variance, tf.constant((float) epsilon)));
  }

  /** Of x {@code (g − mean(g) − unit·mean(g·unit))·inverse}, where g is that of the unit rows. */
  private static List<Operand<TFloat32>> gradients(
      Ops tf, List<Operand<TFloat32>> given, Operand<TFloat32> dy) {
    Operand<TFloat32> factors = given.get(1);
    Operand<TFloat32> unit = given.get(3);
    Operand<TFloat32> inverse = given.get(4);
    Operand<TFloat32> g = tf.math.mul(dy, factors);
    var along = tf.math.mul(unit, mean(tf, tf.math.mul(g, unit)));
    var x = tf.math.mul(tf.math.sub(tf.math.sub(g, mean(tf, g)), along), inverse);
    return List.of(x, tf.nn.biasAddGrad(tf.math.mul(dy, unit)), tf.nn.biasAddGrad(dy));
  }

  private static Operand<TFloat32> mean(Ops tf, Operand<TFloat32> x) {
    return tf.math.mean(x, tf.array(-1), Mean.keepDims(true));
  }
}
