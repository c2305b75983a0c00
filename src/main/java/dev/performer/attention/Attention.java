package dev.performer.attention;

import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/** Attention of many heads; FAVOR+ and exact softmax are peers, so any model can switch. */
public interface Attention {
  /**
   * Queries, keys and values of a layer, heads before positions: {@code [B, H, L, D]}.
   *
   * @param logGates logarithms of {@link Gate gates}, {@code [B, H, S, 1]}; null for none
   */
  record Projected(
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> logGates) {
    /** Without gates. */
    public Projected(Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> values) {
      this(queries, keys, values, null);
    }

    /** Of some heads; of all the same operands. */
    public Projected some(Ops tf, int first, int count, int heads) {
      return count == heads
          ? this
          : new Projected(
              some(tf, queries, first, count),
              some(tf, keys, first, count),
              values == null ? null : some(tf, values, first, count),
              logGates == null ? null : some(tf, logGates, first, count));
    }

    private static Operand<TFloat32> some(Ops tf, Operand<TFloat32> x, int first, int count) {
      return tf.slice(x, tf.array(0, first, 0, 0), tf.array(-1, count, -1, -1));
    }
  }

  /**
   * Attends, heads before positions.
   *
   * @param queries {@code [B, H, L, D]}, any float type; B and L may be unknown
   * @param keys {@code [B, H, S, D]}
   * @param values {@code [B, H, S, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, 0 = padding, or null for no padding
   * @return {@code [B, H, L, V]} of the inputs' type; 0 for a query without any key in conventions
   *     that guard it
   */
  <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask);

  /**
   * Attends, positions before heads, as in Google's interfaces.
   *
   * @param queries {@code [B, L, H, D]}
   * @param keys {@code [B, S, H, D]}
   * @param values {@code [B, S, H, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @return {@code [B, L, H, V]}
   */
  default <T extends TFloating> Operand<T> attendPositionsFirst(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    Operand<T> q = swapPositionsAndHeads(tf, queries); // [B, H, L, D]
    Operand<T> k = swapPositionsAndHeads(tf, keys); // [B, H, S, D]
    Operand<T> v = swapPositionsAndHeads(tf, values); // [B, H, S, V]
    return swapPositionsAndHeads(tf, attend(tf, q, k, v, keyMask)); // [B, L, H, V]
  }

  /** {@code [B, H, L, D]} to {@code [B, L, H, D]} and back; one position only moves nothing. */
  static <T extends TFloating> Operand<T> swapPositionsAndHeads(Ops tf, Operand<T> x) {
    long[] size = x.shape().asArray();
    if ((size[1] == 1 && size[2] > 0 || size[2] == 1 && size[1] > 0) && size[3] > 0) {
      var swapped = tf.array((int) size[0], (int) size[2], (int) size[1], (int) size[3]);
      return Algebra.reshape(tf, x, swapped);
    }
    return tf.linalg.transpose(x, tf.array(0, 2, 1, 3));
  }
}
