package dev.performer.attention;

import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;

/** Attention of many heads; FAVOR+ and exact softmax are peers, so any model can switch. */
public interface Attention {

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
    Operand<T> out =
        attend(
            tf,
            swapPositionsAndHeads(tf, queries), // [B, H, L, D]
            swapPositionsAndHeads(tf, keys), // [B, H, S, D]
            swapPositionsAndHeads(tf, values), // [B, H, S, V]
            keyMask);
    return swapPositionsAndHeads(tf, out); // [B, L, H, V]
  }

  /** {@code [B, L, H, D]} to {@code [B, H, L, D]} and back. */
  static <T extends TFloating> Operand<T> swapPositionsAndHeads(Ops tf, Operand<T> x) {
    return tf.linalg.transpose(x, tf.constant(new int[] {0, 2, 1, 3}));
  }
}
