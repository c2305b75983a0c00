package dev.performer.nn;

import dev.performer.attention.ExactAttention;
import dev.performer.nn.MultiHeadAttention.Projected;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Softmax attention.
 *
 * @param maskQueries whether padding, which then must be that of the keys, sees all positions alike
 * @param dropout rate of its weights
 */
public record ExactHeads(ExactAttention attention, boolean maskQueries, double dropout)
    implements HeadMixer {

  @Override
  public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
    if (!maskQueries && (!drop.isActive() || dropout == 0)) {
      return new Mixed(null, attention.attend(tf, x.queries(), x.keys(), x.values(), keyMask));
    }
    var weights = drop.apply(tf, weights(tf, x.queries(), x.keys(), keyMask), dropout);
    return new Mixed(null, tf.train.batchMatMul(weights, x.values(), TFloat32.class));
  }

  @Override
  public Operand<TFloat32> weights(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
    Operand<TFloat32> weights = attention.weights(tf, queries, keys, keyMask);
    if (!maskQueries || keyMask == null) {
      return weights;
    }
    // In Flax a row of a padded query holds the same large negative number everywhere.
    Operand<TFloat32> real =
        tf.expandDims(tf.expandDims(keyMask, tf.constant(1)), tf.constant(3)); // [B, 1, L, 1]
    Operand<TFloat32> length =
        tf.dtypes.cast(tf.gather(tf.shape(keys), tf.constant(2), tf.constant(0)), TFloat32.class);
    var even = tf.math.div(tf.math.sub(tf.constant(1f), real), length); // [B, 1, L, 1]
    return tf.math.add(tf.math.mul(weights, real), even);
  }
}
