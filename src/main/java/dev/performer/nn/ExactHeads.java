package dev.performer.nn;

import dev.performer.attention.ExactAttention;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Softmax attention.
 *
 * @param attention causal or not
 * @param dropout rate of its weights
 */
public record ExactHeads(ExactAttention attention, double dropout) implements HeadMixer {

  @Override
  public Heads mix(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask,
      Dropout drop) {
    if (!drop.isActive() || dropout == 0) {
      return new Heads(null, attention.attend(tf, queries, keys, values, keyMask));
    }
    Operand<TFloat32> weights = map(tf, queries, keys, keyMask); // [B, H, L, S]
    return new Heads(
        null, tf.train.batchMatMul(drop.apply(tf, weights, dropout), values, TFloat32.class));
  }

  @Override
  public Operand<TFloat32> map(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
    return attention.weights(tf, queries, keys, keyMask);
  }
}
