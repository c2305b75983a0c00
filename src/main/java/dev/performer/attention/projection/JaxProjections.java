package dev.performer.attention.projection;

import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * The projections of Google's JAX code, number by number: {@code draw_weights(PRNGKey(seed))} of
 * its attention objects.
 *
 * @param rows M, the number of directions
 * @param columns head dimension
 * @param directions orthogonal blocks ({@code GaussianOrthogonalRandomMatrix}) or independent
 *     Gaussian rows ({@code GaussianUnstructuredRandomMatrix})
 * @param lengths row lengths of orthogonal directions; independent rows are left as drawn
 * @param stream which of JAX's random streams
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/performer/fast_attention/jax/fast_attention.py">fast_attention.py</a>
 */
public record JaxProjections(
    int rows, int columns, Directions directions, Lengths lengths, Threefry.Stream stream) {
  /** Checks the shape. */
  public JaxProjections {
    ProjectionMatrix.requireShape(rows, columns);
  }

  /** Of a shape and a kind. */
  static JaxProjections of(Projection p, Threefry.Stream stream) {
    return new JaxProjections(p.rows(), p.columns(), p.directions(), p.lengths(), stream);
  }

  /** {@code draw_weights(PRNGKey(seed))}. */
  public ProjectionMatrix draw(int seed) {
    // draw_weights splits its key once and gives the first half to the matrix.
    Threefry key = Threefry.ofSeed(stream, seed).split(2)[0];
    float[] gaussian = key.normal(rows * columns); // [M, D]
    boolean isIid = directions == Directions.IID;
    float[] values = isIid ? gaussian : scaled(orthogonalRows(key), gaussian);
    return new ProjectionMatrix(values, rows, columns);
  }

  /** Every block has a key of its own, split off one after another. */
  private float[] orthogonalRows(Threefry key) {
    int blocks = (rows + columns - 1) / columns;
    int block = ProjectionMatrix.elements(columns, columns);
    float[] gaussian = new float[ProjectionMatrix.elements(blocks * columns, columns)];
    Threefry rest = key;
    for (int i = 0; i < blocks; i++) {
      Threefry[] halves = rest.split(2);
      rest = halves[0];
      System.arraycopy(halves[1].normal(block), 0, gaussian, i * block, block);
    }
    return ProjectionGraph.evaluate(tf -> orthogonalRows(tf, gaussian, blocks));
  }

  private Operand<TFloat32> orthogonalRows(Ops tf, float[] gaussian, int blocks) {
    var stacked = tf.reshape(tf.constant(gaussian), tf.array(blocks, columns, columns));
    // JAX uses LAPACK's QR, TensorFlow has Eigen's: in float64 only LAPACK's rounding is left.
    Operand<TFloat64> wide = tf.dtypes.cast(stacked, TFloat64.class); // [N, D, D]
    var unit = tf.dtypes.cast(ProjectionGraph.orthonormalRows(tf, wide), TFloat32.class);
    Operand<TFloat32> flat = tf.reshape(unit, tf.array(-1, columns)); // [N*D, D]
    return ProjectionGraph.stack(tf, List.of(flat), rows);
  }

  /** The lengths come from the key itself, not from what the blocks left of it. */
  private float[] scaled(float[] unit, float[] gaussian) {
    float[] result = new float[unit.length];
    for (int row = 0; row < rows; row++) {
      double squared = columns;
      if (lengths == Lengths.CHI) {
        squared = 0;
        for (int i = row * columns; i < (row + 1) * columns; i++) {
          squared += (double) gaussian[i] * gaussian[i];
        }
      }
      float length = (float) Math.sqrt(squared);
      for (int i = row * columns; i < (row + 1) * columns; i++) {
        result[i] = length * unit[i];
      }
    }
    return result;
  }
}
