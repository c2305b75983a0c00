package dev.performer.attention.projection;

import dev.performer.attention.projection.Projection.Lengths;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.random.RandomStandardNormal;
import org.tensorflow.types.TFloat32;

/**
 * The projections of Google Research's TensorFlow code, number by number: {@code
 * create_projection_matrix(m, d, seed, scaling)}.
 *
 * @param rows m, the number of directions
 * @param columns d, the head dimension
 * @param seed any whole number; TensorFlow takes it modulo 2^31 - 1
 * @param lengths the {@code scaling} argument
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/performer/fast_attention/tensorflow/fast_attention.py">fast_attention.py</a>
 */
public record TensorFlowProjections(int rows, int columns, long seed, Lengths lengths) {
  // What TensorFlow takes for the graph's seed where tf.random.set_seed was not called.
  private static final long GRAPH_SEED = 87654321;
  private static final long MODULUS = Integer.MAX_VALUE;

  /** Checks the shape. */
  public TensorFlowProjections {
    ProjectionMatrix.requireShape(rows, columns);
  }

  /**
   * The matrix that the first call in a process returns. Its generators are stateful: a second call
   * in one Python process gives another matrix.
   */
  public ProjectionMatrix first() {
    return new ProjectionMatrix(ProjectionGraph.evaluate(this::build), rows, columns);
  }

  private Operand<TFloat32> build(Ops tf) {
    int full = rows / columns;
    List<Operand<TFloat32>> stacked = new ArrayList<>();
    for (int i = 0; i * (long) columns < rows; i++) {
      stacked.add(ProjectionGraph.orthonormalRows(tf, normal(tf, seed + i, columns))); // [D, D]
    }
    Operand<TFloat32> directions = ProjectionGraph.stack(tf, stacked, rows); // [M, D]
    // The seed moves past a rest block even when there is none.
    Operand<TFloat32> scale =
        lengths == Lengths.CHI
            ? ProjectionGraph.norms(tf, normal(tf, seed + full + 1, rows), 1) // [M, 1]
            : tf.constant((float) Math.sqrt(columns));
    return tf.math.mul(scale, directions);
  }

  /** What {@code tf.random.normal((n, d), seed=opSeed)} is on its first use. */
  private Operand<TFloat32> normal(Ops tf, long opSeed, int n) {
    return tf.random.randomStandardNormal(
        tf.array(n, columns),
        TFloat32.class,
        RandomStandardNormal.seed(GRAPH_SEED),
        RandomStandardNormal.seed2(Math.floorMod(opSeed, MODULUS)));
  }
}
