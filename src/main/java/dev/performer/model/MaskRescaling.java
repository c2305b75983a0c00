package dev.performer.model;

import static dev.performer.PerformerException.require;

import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Embeddings as ESM's "token dropout" has them: those of mask tokens and padding are 0, and all
 * others times {@code (1 − trained) / (1 − masked)}, so that a sequence weighs what it did in
 * training, however many of its tokens are masked.
 *
 * @param token the mask token
 * @param trained the share of tokens that were masks in training, 0.12 in ESM
 * @see <a href="https://github.com/facebookresearch/esm/blob/main/esm/model/esm2.py">esm2.py</a>
 */
public record MaskRescaling(int token, double trained) {
  /** Checks. */
  public MaskRescaling {
    boolean isShare = trained >= 0 && trained < 1;
    require(isShare, "maskRescaling.trained must be 0 or more and below 1, not %s", trained);
  }

  /**
   * Of {@code x}, {@code [B, L, E]}, by ids and their mask, {@code [B, L]}, which may be null. A
   * sequence of masks alone is 0.
   */
  Operand<TFloat32> apply(
      Ops tf, Operand<TFloat32> x, Operand<TInt32> ids, Operand<TFloat32> mask) {
    var isOther = tf.dtypes.cast(tf.math.notEqual(ids, tf.constant(token)), TFloat32.class);
    Operand<TFloat32> all = mask == null ? tf.onesLike(isOther) : mask;
    Operand<TFloat32> kept = tf.math.mul(isOther, all); // [B, L]
    var most = tf.math.maximum(sum(tf, kept), tf.constant(1f));
    var factor = tf.math.div(sum(tf, all), most); // 1 / (1 − masked), [B, 1]
    var weights = tf.math.mul(kept, tf.math.mul(factor, tf.constant((float) (1 - trained))));
    return tf.math.mul(x, tf.expandDims(weights, tf.constant(2)));
  }

  private static Operand<TFloat32> sum(Ops tf, Operand<TFloat32> weights) {
    return tf.reduceSum(weights, tf.array(1), ReduceSum.keepDims(true));
  }
}
