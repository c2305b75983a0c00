package dev.performer.training;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;

/**
 * Cross-entropy and accuracy of logits, added to a model's graph.
 *
 * @param targets placeholder for the right ids, {@code [B, L]}
 * @param weights placeholder for how much each position counts, {@code [B, L]}
 * @param loss weighted mean cross-entropy in nats, scalar; what is differentiated
 * @param sums weighted sums of cross-entropy and of right guesses, and the sum of weights, {@code
 *     [3]}; float64, so that sums over many batches are exact
 */
record LossGraph(
    Output<TInt32> targets,
    Output<TFloat32> weights,
    Output<TFloat32> loss,
    Output<TFloat64> sums) {

  static LossGraph build(LanguageModel model) {
    Ops tf = Ops.create(model.graph()).withSubScope("loss");
    var anyBatch = Placeholder.shape(Shape.of(-1, -1));
    var targets = tf.placeholder(TInt32.class, anyBatch); // [B, L]
    var weights = tf.placeholder(TFloat32.class, anyBatch); // [B, L]
    var row = tf.constant(new int[] {-1});
    // Two dimensions: TensorFlow's gradients of log-softmax are wrong in more.
    var vocabulary = tf.gather(tf.shape(model.logits()), tf.constant(2), tf.constant(0)); // V
    var logits =
        tf.reshape(model.logits(), tf.stack(List.of(tf.constant(-1), vocabulary))); // [B*L, V]
    var flatTargets = tf.reshape(targets, row); // [B*L]
    var flatWeights = tf.reshape(weights, row); // [B*L]
    var labels = tf.oneHot(flatTargets, vocabulary, tf.constant(1f), tf.constant(0f)); // [B*L, V]
    var entropy = tf.nn.softmaxCrossEntropyWithLogits(logits, labels).loss(); // [B*L]
    var weighted = tf.math.mul(entropy, flatWeights);
    var total = tf.reduceSum(flatWeights, tf.constant(0));
    var loss =
        tf.math.div(
            tf.reduceSum(weighted, tf.constant(0)), tf.math.maximum(total, tf.constant(1e-9f)));
    var guesses = tf.math.argMax(logits, tf.constant(1), TInt32.class); // [B*L]
    var right =
        tf.math.mul(
            tf.dtypes.cast(tf.math.equal(guesses, flatTargets), TFloat32.class), flatWeights);
    var sums = tf.stack(List.of(sum(tf, weighted), sum(tf, right), sum(tf, flatWeights))); // [3]
    return new LossGraph(targets.asOutput(), weights.asOutput(), loss.asOutput(), sums.asOutput());
  }

  private static Operand<TFloat64> sum(Ops tf, Operand<TFloat32> values) {
    return tf.reduceSum(tf.dtypes.cast(values, TFloat64.class), tf.constant(0));
  }
}
