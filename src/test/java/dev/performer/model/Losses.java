package dev.performer.model;

import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** What reference gradients are of. */
final class Losses {
  private Losses() {}

  /** {@code Σ x·g}. */
  static Operand<TFloat32> weighted(Ops tf, Operand<TFloat32> x, Operand<TFloat32> g) {
    return tf.reduceSum(tf.reshape(tf.math.mul(x, g), tf.constant(new int[] {-1})), tf.constant(0));
  }

  /** The mean cross-entropy of positions of weight 1; {@code weights} may be null for all. */
  static Operand<TFloat32> crossEntropy(
      Ops tf,
      Operand<TFloat32> logits,
      Operand<TInt32> targets,
      Operand<TFloat32> weights,
      int vocabulary) {
    Operand<TFloat32> rows = tf.reshape(logits, tf.constant(new int[] {-1, vocabulary}));
    Operand<TInt32> flat = tf.reshape(targets, tf.constant(new int[] {-1}));
    Operand<TFloat32> oneHot =
        tf.oneHot(flat, tf.constant(vocabulary), tf.constant(1f), tf.constant(0f));
    Operand<TFloat32> losses =
        tf.math.neg(
            tf.reduceSum(tf.math.mul(tf.nn.logSoftmax(rows), oneHot), tf.constant(1))); // [rows]
    if (weights == null) {
      return tf.math.mean(losses, tf.constant(0));
    }
    Operand<TFloat32> w = tf.reshape(weights, tf.constant(new int[] {-1}));
    return tf.math.div(
        tf.reduceSum(tf.math.mul(losses, w), tf.constant(0)), tf.reduceSum(w, tf.constant(0)));
  }
}
