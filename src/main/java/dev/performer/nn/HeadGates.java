package dev.performer.nn;

import dev.performer.attention.Gate;
import dev.performer.graph.Algebra;
import dev.performer.graph.Variable;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Parameters.Initializer;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * The {@link Gate gates} of a layer's heads, g = sigmoid(x W + b) in float32.
 *
 * @param kernel W, {@code [E, H]}, 0 in the beginning; null where gates are constant
 * @param bias b, {@code [H]}, see {@link Gate#logits}
 */
public record HeadGates(Variable kernel, Variable bias, int size, int heads, Dense.Rows rows) {
  /** Creates the variables; null for none. */
  public static HeadGates create(Parameters parameters, Gate gate, int size, int heads) {
    if (gate == Gate.NONE) {
      return null;
    }
    Parameters in = parameters.in("gate");
    Initializer zeros = new Initializer.Constant(0);
    return new HeadGates(
        gate == Gate.TOKEN ? in.trainable("kernel", zeros, size, heads) : null,
        in.trainable("bias", new Initializer.Given(Gate.logits(heads)), heads),
        size,
        heads,
        in.rows());
  }

  /** Logarithms of the gates, {@code [B, H, S, 1]}, of {@code x}, {@code [B, S, E]}. */
  Operand<TFloat32> logs(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> logits; // [B, H, S]
    if (kernel == null) {
      Operand<TFloat32> column = tf.reshape(bias.<TFloat32>read(tf), tf.array(heads, 1)); // [H, 1]
      var sizes = List.of(Algebra.sizes(tf, x, 0, 1), tf.array(1), Algebra.sizes(tf, x, 1, 2));
      logits = tf.math.add(tf.fill(tf.concat(sizes, tf.constant(0)), tf.constant(0f)), column);
    } else {
      Dense dense = new Dense(kernel, bias, size, heads, Precision.FLOAT32, rows);
      logits = tf.linalg.transpose(dense.apply(tf, x), tf.array(0, 2, 1));
    }
    Operand<TFloat32> logs = tf.math.neg(tf.math.softplus(tf.math.neg(logits)));
    return tf.expandDims(logs, tf.constant(3));
  }
}
