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
   * Column j of position p is sin (even j) or cos (odd j) of {@code p/10000^(2⌊j/2⌋/size)}.
   *
   * @param positions {@code [..., L]}
   * @return {@code [..., L, size]}
   */
  public static Operand<TFloat32> interleaved(Ops tf, Operand<TInt32> positions, int size) {
    int pairs = (size + 1) / 2;
    Operand<TFloat64> angles = angles(tf, positions, pairs, size); // [..., L, pairs]
    int rank = angles.shape().numDimensions();
    var both = // [..., L, pairs, 2]
        tf.stack(List.of(tf.math.sin(angles), tf.math.cos(angles)), Stack.axis((long) rank));
    var flat = Algebra.withLast(tf, tf.dtypes.cast(both, TFloat32.class), angles, 2 * pairs);
    if (size == 2 * pairs) {
      return flat;
    }
    int[] begin = new int[rank];
    int[] sizes = new int[rank];
    Arrays.fill(sizes, -1);
    sizes[rank - 1] = size;
    return tf.slice(flat, tf.constant(begin), tf.constant(sizes));
  }

  /** The first value of a table {@code [rows, size]}, in C order. */
  public static float[] table(int rows, int size) {
    float[] values = new float[rows * size];
    for (int p = 0; p < rows; p++) {
      for (int j = 0; j < size; j++) {
        double angle = p * Math.pow(BASE, -(2.0 * (j / 2)) / size);
        values[p * size + j] = (float) (j % 2 == 0 ? Math.sin(angle) : Math.cos(angle));
      }
    }
    return values;
  }

  /** {@code p/10000^(2i/size)}, {@code [..., L, pairs]}. */
  static Operand<TFloat64> angles(Ops tf, Operand<TInt32> positions, int pairs, int size) {
    double[] frequencies =
        IntStream.range(0, pairs).mapToDouble(i -> Math.pow(BASE, -2.0 * i / size)).toArray();
    var column = tf.expandDims(tf.dtypes.cast(positions, TFloat64.class), tf.constant(-1));
    return tf.math.mul(column, tf.constant(frequencies));
  }
}
