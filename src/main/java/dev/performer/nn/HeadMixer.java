package dev.performer.nn;

import dev.performer.nn.MultiHeadAttention.Projected;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** How heads mix values; between the dense layers of {@link MultiHeadAttention}. */
public interface HeadMixer {

  /**
   * Outputs of all heads.
   *
   * @param begin of the first queries, which have an output layer of their own, {@code [B, H, b,
   *     D]}; null if none have
   * @param rest of all other queries, {@code [B, H, L-b, D]}
   */
  record Mixed(Operand<TFloat32> begin, Operand<TFloat32> rest) {}

  /**
   * Attends.
   *
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @param drop what training drops
   */
  Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop);

  /**
   * The weights of the values, {@code [B, H, L, S]}.
   *
   * @throws dev.performer.PerformerException if there is no such matrix
   */
  Operand<TFloat32> weights(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask);

  /** Whether the first queries have an output layer of their own. */
  default boolean hasBegin() {
    return false;
  }
}
