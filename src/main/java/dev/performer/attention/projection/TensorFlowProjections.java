package dev.performer.attention.projection;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection.Lengths;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.random.RandomStandardNormal;
import org.tensorflow.types.TFloat32;

/**
 * The projections of Google Research's TensorFlow code, number by number: {@code
 * create_projection_matrix(m, d, seed, scaling, struct_mode)}.
 *
 * <p>The generators of that code are stateful: a second call in one Python process gives another
 * matrix. {@link #first()} is the first call of a process, {@link #calls} the first few.
 *
 * @param rows m, the number of random features
 * @param columns d, the head dimension
 * @param seed any whole number; TensorFlow takes it modulo 2^31 - 1
 * @param lengths the {@code scaling} argument
 * @param blocks the {@code struct_mode} argument
 * @param globalSeed the argument of {@code tf.random.set_seed}, if it was called before
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/performer/fast_attention/tensorflow/fast_attention.py">fast_attention.py</a>
 */
public record TensorFlowProjections(
    int rows, int columns, long seed, Lengths lengths, Blocks blocks, OptionalLong globalSeed) {

  /** Where the directions of the rows come from. */
  public enum Blocks {
    /** QR of Gaussian blocks; {@code struct_mode=False}. */
    ORTHOGONAL,
    /** Products of random plane rotations, all blocks alike; {@code struct_mode=True}. */
    GIVENS
  }

  private static final long DEFAULT_GRAPH_SEED = 87654321;
  private static final long MODULUS = Integer.MAX_VALUE;
  private static final float REDRAW_FACTOR = 1e8f;

  /** Checks the shape. */
  public TensorFlowProjections {
    ProjectionMatrix.elements(rows, columns);
    ProjectionMatrix.elements(columns, columns);
  }

  /** The matrix of {@code create_projection_matrix(m, d, seed)} with its defaults. */
  public static TensorFlowProjections of(int rows, int columns, long seed) {
    return new TensorFlowProjections(
        rows, columns, seed, Lengths.CHI, Blocks.ORTHOGONAL, OptionalLong.empty());
  }

  /**
   * The meaning of Google's {@code scaling} argument, in TensorFlow and in JAX.
   *
   * @throws PerformerException unless it is 0 or 1
   */
  public static Lengths lengths(double scaling) {
    if (scaling == 0) {
      return Lengths.CHI;
    }
    if (scaling == 1) {
      return Lengths.SQRT_D;
    }
    throw new PerformerException(
        "scaling "
            + scaling
            + " is neither 0 (row lengths of Gaussian rows) nor 1 (row length sqrt(D))");
  }

  /**
   * The seed from which the Keras layer redraws its projection at every call: {@code
   * int32(ceil(abs(sum) * 1e8))} in float32.
   *
   * @param sum the float32 sum of the projected queries
   * @return −2147483648 where the product exceeds int32 (|sum| of about 21.5 and more), as x86 does
   */
  public static int redrawSeed(float sum) {
    double seed = Math.ceil(Math.abs(sum) * REDRAW_FACTOR);
    return seed <= Integer.MAX_VALUE ? (int) seed : Integer.MIN_VALUE;
  }

  /**
   * The matrix that the first call in a process returns.
   *
   * @throws PerformerException if NumPy would refuse the seed of Givens rotations
   */
  public ProjectionMatrix first() {
    return calls(1).get(0);
  }

  /**
   * The matrices that the first calls in a process return, one after another with these arguments.
   *
   * @throws PerformerException if NumPy would refuse the seed of Givens rotations
   */
  public List<ProjectionMatrix> calls(int number) {
    return ProjectionGraph.evaluate(number, this::build).stream()
        .map(values -> new ProjectionMatrix(values, rows, columns))
        .toList();
  }

  private Operand<TFloat32> build(Ops tf) {
    int full = rows / columns;
    List<Operand<TFloat32>> stacked = new ArrayList<>();
    for (int i = 0; i * (long) columns < rows; i++) {
      stacked.add(block(tf, i));
    }
    Operand<TFloat32> directions = ProjectionGraph.stack(tf, stacked, rows); // [M, D]
    Operand<TFloat32> scale =
        switch (lengths) {
          // The seed moves past a rest block even when there is none.
          case CHI -> ProjectionGraph.rowNorms(tf, normal(tf, seed + full + 1, rows)); // [M, 1]
          case SQRT_D -> tf.constant((float) Math.sqrt(columns));
        };
    return tf.math.mul(scale, directions);
  }

  private Operand<TFloat32> block(Ops tf, int index) {
    return switch (blocks) {
      case ORTHOGONAL ->
          ProjectionGraph.orthonormalRows(tf, normal(tf, seed + index, columns)); // [D, D]
      // Every block from the initial seed: Google's code does not pass the advanced one.
      case GIVENS ->
          tf.reshape(
              tf.constant(GivensRotations.block(columns, seed)),
              tf.constant(new int[] {columns, columns}));
    };
  }

  /** What {@code tf.random.normal((n, d), seed=opSeed)} is on its first use. */
  private Operand<TFloat32> normal(Ops tf, long opSeed, int n) {
    long seed1 = globalSeed.isPresent() ? truncate(globalSeed.getAsLong()) : DEFAULT_GRAPH_SEED;
    long seed2 = truncate(opSeed);
    if (seed1 == 0 && seed2 == 0) {
      // The kernel reads (0, 0) as "not seeded"; Python replaces it.
      seed2 = MODULUS;
    }
    return tf.random.randomStandardNormal(
        tf.constant(new int[] {n, columns}),
        TFloat32.class,
        RandomStandardNormal.seed(seed1),
        RandomStandardNormal.seed2(seed2));
  }

  private static long truncate(long seed) {
    return Math.floorMod(seed, MODULUS);
  }
}
