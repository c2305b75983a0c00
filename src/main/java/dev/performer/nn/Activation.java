package dev.performer.nn;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.graph.GivenGradient;
import java.util.List;
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

  private static final double TWICE = 2 * Math.sqrt(2 / Math.PI);
  private static final double CUBIC = 0.044715 * TWICE;

  /** The function of {@code x}, in its shape. */
  public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x) {
    return switch (this) {
      case GELU_TANH -> {
        // (1 + tanh u)/2 = sigmoid(2u): a third fewer passes over the widest tensors, both ways.
        var share = tf.math.sigmoid(tf.math.mul(x, plusSquare(tf, x, TWICE, CUBIC)));
        var y = tf.math.mul(x, share);
        yield GivenGradient.of(tf, y, List.of(x), List.of(share), Activation::ofTanh);
      }
      case GELU_ERF -> {
        var erf = tf.math.erf(tf.math.mul(x, tf.constant((float) Math.sqrt(0.5))));
        var share = tf.math.mul(tf.math.add(erf, tf.constant(1f)), tf.constant(0.5f));
        var y = tf.math.mul(x, share);
        yield GivenGradient.of(tf, y, List.of(x), List.of(share), Activation::ofErf);
      }
      case RELU -> tf.nn.relu(x);
      case SILU -> tf.math.mul(x, tf.math.sigmoid(x));
      case TANH -> tf.math.tanh(x);
      case ELU -> tf.nn.elu(x);
      case SIGMOID -> tf.math.sigmoid(x);
      case LINEAR -> x;
    };
  }

  /** {@code a + b·x²}. */
  private static Operand<TFloat32> plusSquare(Ops tf, Operand<TFloat32> x, double a, double b) {
    var squares = tf.math.mul(tf.math.square(x), tf.constant((float) b));
    return tf.math.add(squares, tf.constant((float) a));
  }

  /** Of {@code x·s(u)}: {@code s + x·s·(1 − s)·u'}, each pass in place of the one before. */
  private static List<Operand<TFloat32>> ofTanh(
      Ops tf, List<Operand<TFloat32>> given, Operand<TFloat32> dy) {
    Operand<TFloat32> x = given.get(0);
    Operand<TFloat32> share = given.get(1);
    var builder = tf.scope().opBuilder("SigmoidGrad", "SigmoidGrad");
    var node = builder.addInput(share.asOutput()).addInput(x.asOutput()).build();
    var slope = tf.math.mul(plusSquare(tf, x, TWICE, 3 * CUBIC), node.<TFloat32>output(0));
    return List.of(tf.math.mul(tf.math.add(slope, share), dy));
  }

  /** Of {@code x·s(x)}, s the distribution of normal numbers: {@code s + x·density(x)}. */
  private static List<Operand<TFloat32>> ofErf(
      Ops tf, List<Operand<TFloat32>> given, Operand<TFloat32> dy) {
    Operand<TFloat32> x = given.get(0);
    var bell = tf.math.exp(tf.math.mul(tf.math.square(x), tf.constant(-0.5f)));
    var density = tf.math.mul(bell, tf.constant((float) (1 / Math.sqrt(2 * Math.PI))));
    var slope = tf.math.add(tf.math.mul(density, x), given.get(1));
    return List.of(tf.math.mul(slope, dy));
  }
}
