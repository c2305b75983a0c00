package dev.performer.attention.projection;

import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * The projections of Model Garden's {@code KernelAttention}, number by number: {@code
 * create_projection_matrix(m, d, seed)} with stateless streams, the same at every call.
 *
 * @see <a
 *     href="https://github.com/tensorflow/models/blob/master/official/nlp/modeling/layers/kernel_attention.py">kernel_attention.py</a>
 */
public final class ModelGardenProjections {
  private ModelGardenProjections() {}

  /**
   * The matrix {@code [M, D]} that a layer holds: of its {@code seed} s the pair {@code [s, s +
   * 1]}. Model Garden's encoder gives layer i the seed i.
   */
  public static ProjectionMatrix ofLayer(int rows, int columns, long layerSeed) {
    return of(rows, columns, layerSeed, layerSeed + 1);
  }

  /** The matrix of a pair of seeds. */
  public static ProjectionMatrix of(int rows, int columns, long seed0, long seed1) {
    ProjectionMatrix.requireShape(rows, columns);
    float[] values = ProjectionGraph.evaluate(tf -> draw(tf, rows, columns, seed0, seed1));
    return new ProjectionMatrix(values, rows, columns);
  }

  /**
   * A redraw {@code [M, D]} during training: other directions at every run, always the same row
   * lengths, which Google's code draws from the seed {@code [0, 1]}. No gradient flows into it.
   */
  public static Operand<TFloat32> redraw(Ops tf, int rows, int columns) {
    ProjectionMatrix.requireShape(rows, columns);
    int blocks = (rows + columns - 1) / columns;
    var size = tf.array(blocks, columns, columns);
    Operand<TFloat32> gaussian = tf.random.randomStandardNormal(size, TFloat32.class); // [N, D, D]
    Operand<TFloat32> all =
        tf.reshape(
            ProjectionGraph.orthonormalRows(tf, gaussian), tf.array(-1, columns)); // [N*D, D]
    Operand<TFloat32> unit = ProjectionGraph.stack(tf, List.of(all), rows); // [M, D]
    var lengths = lengths(tf, rows, columns, tf.array(0L, 1L)); // [M, 1]
    return tf.stopGradient(tf.reshape(tf.math.mul(lengths, unit), tf.array(rows, columns)));
  }

  /** Each block has the seed that the one before it drew, and so have the lengths. */
  private static Operand<TFloat32> draw(Ops tf, int rows, int columns, long seed0, long seed1) {
    Operand<TInt64> seed = tf.array(seed0, seed1);
    List<Operand<TFloat32>> blocks = new ArrayList<>();
    for (int i = 0; i * (long) columns < rows; i++) {
      var gaussian = tf.random.statelessRandomNormal(tf.array(columns, columns), seed);
      blocks.add(ProjectionGraph.orthonormalRows(tf, gaussian)); // [D, D]
      var next = tf.random.statelessRandomUniformFullInt(tf.array(2), seed, TInt32.class);
      seed = tf.dtypes.cast(next, TInt64.class);
    }
    var directions = ProjectionGraph.stack(tf, blocks, rows); // [M, D]
    return tf.math.mul(lengths(tf, rows, columns, seed), directions);
  }

  private static Operand<TFloat32> lengths(Ops tf, int rows, int columns, Operand<TInt64> seed) {
    var drawn = tf.random.statelessRandomNormal(tf.array(rows, columns), seed);
    return ProjectionGraph.norms(tf, drawn, 1);
  }
}
