package dev.performer.nn;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.graph.Variable;
import dev.performer.nn.Parameters.Initializer;
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
    Operand<TFloat32> mean = mean(tf, x); // [..., 1]
    Operand<TFloat32> centred = tf.math.sub(x, mean);
    Operand<TFloat32> variance; // [..., 1]
    if (formula == Formula.TWO_PASS) {
      variance = mean(tf, tf.math.square(centred));
    } else { // rounding takes the difference below 0 where a row is nearly constant
      var difference = tf.math.sub(mean(tf, tf.math.square(x)), tf.math.square(mean));
      variance = tf.math.maximum(difference, tf.constant(0f));
    }
    var inverse = tf.math.rsqrt(tf.math.add(variance, tf.constant((float) epsilon))); // [..., 1]
    Operand<TFloat32> factor = tf.math.mul(inverse, scale.<TFloat32>read(tf)); // [..., E]
    return tf.math.add(tf.math.mul(centred, factor), bias.<TFloat32>read(tf));
  }

  private static Operand<TFloat32> mean(Ops tf, Operand<TFloat32> x) {
    return tf.math.mean(x, tf.array(-1), Mean.keepDims(true));
  }
}
