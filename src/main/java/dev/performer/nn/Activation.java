package dev.performer.nn;

import com.fasterxml.jackson.annotation.JsonProperty;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** An element-wise function between two dense layers; each has a gradient in TensorFlow Java. */
public enum Activation {
  /** {@code x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))}: JAX, Model Garden. */
  @JsonProperty("gelu-tanh")
  GELU_TANH,
  /** {@code x/2 (1 + erf(x/√2))}: Keras, PyTorch, BERT. */
  @JsonProperty("gelu-erf")
  GELU_ERF,
  @JsonProperty("relu")
  RELU,
  /** {@code x·sigmoid(x)}, also known as swish. */
  @JsonProperty("silu")
  SILU,
  @JsonProperty("tanh")
  TANH,
  @JsonProperty("elu")
  ELU,
  @JsonProperty("sigmoid")
  SIGMOID,
  /** {@code x} itself. */
  @JsonProperty("linear")
  LINEAR;

  /** The function of {@code x}, in its shape. */
  public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x) {
    return switch (this) {
      case GELU_TANH -> {
        Operand<TFloat32> cubed = tf.math.mul(x, tf.math.square(x));
        Operand<TFloat32> inner =
            tf.math.mul(
                tf.math.add(x, tf.math.mul(cubed, tf.constant(0.044715f))),
                tf.constant((float) Math.sqrt(2 / Math.PI)));
        yield half(tf, x, tf.math.tanh(inner));
      }
      case GELU_ERF ->
          half(tf, x, tf.math.erf(tf.math.mul(x, tf.constant((float) Math.sqrt(0.5)))));
      case RELU -> tf.nn.relu(x);
      case SILU -> tf.math.mul(x, tf.math.sigmoid(x));
      case TANH -> tf.math.tanh(x);
      case ELU -> tf.nn.elu(x);
      case SIGMOID -> tf.math.sigmoid(x);
      case LINEAR -> x;
    };
  }

  /** {@code x/2 (1 + y)}. */
  private static Operand<TFloat32> half(Ops tf, Operand<TFloat32> x, Operand<TFloat32> y) {
    return tf.math.mul(tf.math.mul(x, tf.constant(0.5f)), tf.math.add(y, tf.constant(1f)));
  }
}
