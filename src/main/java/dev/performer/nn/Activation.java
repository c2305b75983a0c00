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
        // (1 + tanh u)/2 = sigmoid(2u): a third fewer passes over the widest tensors, both ways.
        double twice = 2 * Math.sqrt(2 / Math.PI);
        var squares = tf.math.mul(tf.math.square(x), tf.constant((float) (0.044715 * twice)));
        var factor = tf.math.add(squares, tf.constant((float) twice));
        yield tf.math.mul(x, tf.math.sigmoid(tf.math.mul(x, factor)));
      }
      case GELU_ERF -> {
        var erf = tf.math.erf(tf.math.mul(x, tf.constant((float) Math.sqrt(0.5))));
        yield tf.math.mul(tf.math.mul(x, tf.constant(0.5f)), tf.math.add(erf, tf.constant(1f)));
      }
      case RELU -> tf.nn.relu(x);
      case SILU -> tf.math.mul(x, tf.math.sigmoid(x));
      case TANH -> tf.math.tanh(x);
      case ELU -> tf.nn.elu(x);
      case SIGMOID -> tf.math.sigmoid(x);
      case LINEAR -> x;
    };
  }
}
