package dev.performer.nn;

import dev.performer.graph.Algebra;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Stack;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;

/** Sines and cosines of positions at geometric frequencies, computed in float64. */
public final class Sinusoids {
  private static final double BASE = 10000;

  private Sinusoids() {}

  /**
   * Of positions {@code [..., L]}, {@code [..., L, size]}: column j of position p is sin (even j)
   * or cos (odd j) of {@code p/10000^(2⌊j/2⌋/size)}.
   */
  public static Operand<TFloat32> interleaved(Ops tf, Operand<TInt32> positions, int size) {
    int pairs = (size + 1) / 2;
    double[] frequencies =
        IntStream.range(0, pairs).mapToDouble(i -> Math.pow(BASE, -2.0 * i / size)).toArray();
    Operand<TFloat64> angles = angles(tf, positions, frequencies); // [..., L, pairs]
    int rank = angles.shape().numDimensions();
    var both = // [..., L, pairs, 2]
        tf.stack(List.of(tf.math.sin(angles), tf.math.cos(angles)), Stack.axis((long) rank));
    var flat = Algebra.withLast(tf, tf.dtypes.cast(both, TFloat32.class), angles, 2 * pairs);
    if (size == 2 * pairs) {
      return flat;
    }
    int[] sizes = new int[rank];
    Arrays.fill(sizes, -1);
    sizes[rank - 1] = size;
    return tf.slice(flat, tf.constant(new int[rank]), tf.constant(sizes));
  }

  /** The first value of a table {@code [rows, size]}, in C order. */
  public static float[] table(int rows, int size) {
    float[] values = new float[rows * size];
    for (int i = 0; i < values.length; i++) {
      int j = i % size;
      double angle = i / size * Math.pow(BASE, -(2.0 * (j / 2)) / size);
      values[i] = (float) (j % 2 == 0 ? Math.sin(angle) : Math.cos(angle));
    }
    return values;
  }

  /** Position times frequency, {@code [..., L, pairs]}. */
  private static Operand<TFloat64> angles(Ops tf, Operand<TInt32> positions, double[] frequencies) {
    var column = tf.expandDims(tf.dtypes.cast(positions, TFloat64.class), tf.constant(-1));
    return tf.math.mul(column, tf.constant(frequencies));
  }

  /**
   * Rotary positions: the pair (x_i, x_{i+D/2}) turns by {@code p/10000^(2i/D)}, or by p times the
   * model's own frequency, so that a product of a query and a key depends on their distance only.
   *
   * @param cosines {@code [L, D/2]} or {@code [B, 1, L, D/2]}
   * @param sines of the same shape
   * @see <a href="https://arxiv.org/abs/2104.09864">RoFormer</a>
   */
  public record Rotation(Operand<TFloat32> cosines, Operand<TFloat32> sines) {
    /**
     * For positions of all rows of a batch, {@code [L]}, or of each, {@code [B, L]}.
     *
     * @param scaling null for none
     * @param trained radians from a position to the next of each pair; null for the usual
     */
    public static Rotation at(
        Ops tf,
        Operand<TInt32> positions,
        int headSize,
        RotaryScaling scaling,
        List<Double> trained) {
      double[] frequencies = RotaryScaling.frequencies(scaling, trained, BASE, headSize);
      var angles = angles(tf, positions, frequencies); // [..., L, D/2]
      if (positions.shape().numDimensions() == 2) {
        angles = tf.expandDims(angles, tf.constant(1)); // [B, 1, L, D/2]
      }
      return new Rotation(
          tf.dtypes.cast(tf.math.cos(angles), TFloat32.class),
          tf.dtypes.cast(tf.math.sin(angles), TFloat32.class));
    }

    /** Turns queries or keys, {@code [B, H, L, D]}. */
    public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x) {
      var halves = tf.split(tf.constant(3), x, 2L).output(); // [B, H, L, D/2] each
      Operand<TFloat32> a = halves.get(0);
      Operand<TFloat32> b = halves.get(1);
      var first = tf.math.sub(tf.math.mul(a, cosines), tf.math.mul(b, sines));
      var second = tf.math.add(tf.math.mul(b, cosines), tf.math.mul(a, sines));
      return tf.concat(List.of(first, second), tf.constant(3));
    }
  }
}
