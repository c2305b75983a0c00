package dev.performer.nn;

import dev.performer.graph.Variable;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A table of vectors.
 *
 * @param table {@code [rows, E]}
 */
public record Embedding(Variable table) {

  /** Creates its variable. */
  public static Embedding create(
      Parameters parameters, String name, int rows, int size, Initializer initializer) {
    return new Embedding(parameters.trainable(name, initializer, rows, size));
  }

  /** Rows of the table, {@code [..., E]}; an id beyond it fails when the graph runs. */
  public Operand<TFloat32> apply(Ops tf, Operand<TInt32> ids) {
    return tf.gather(table.<TFloat32>read(tf), ids, tf.constant(0));
  }

  /** Products of {@code x}, {@code [..., E]}, with all rows, {@code [..., rows]}. */
  public Operand<TFloat32> products(Ops tf, Operand<TFloat32> x) {
    int rows = (int) table.shape().get(0);
    int size = (int) table.shape().get(1);
    var transposed = tf.linalg.transpose(table.<TFloat32>read(tf), tf.constant(new int[] {1, 0}));
    return Precision.FLOAT32.times(tf, x, transposed, size, rows);
  }
}
