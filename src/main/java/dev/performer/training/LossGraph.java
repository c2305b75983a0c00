package dev.performer.training;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.ReduceMax;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;

/**
 * Cross-entropy and accuracy of logits, or the squared error of numbers, added to a model's graph.
 *
 * <p>What is differentiated may have label smoothing (targets are {@code 1 − s} of the right id and
 * {@code s} of all alike) and a z-loss ({@code z·log²Σexp(logits)}, which keeps logits from
 * drifting); the sums never have.
 *
 * @param targets placeholder for the right ids or numbers, {@code [B, L]}, as of weights
 * @param loss weighted mean in nats, or of squares, scalar; differentiated
 * @param total the weighted sum that it is the mean of
 * @param sums weighted sums of cross-entropy or squares and of right guesses (NaN for numbers), and
 *     the sum of weights, {@code [3]}; float64, so that sums over many batches are exact
 */
public record LossGraph(
    Output<?> targets,
    Output<TFloat32> weights,
    Output<TFloat32> loss,
    Output<TFloat32> total,
    Output<TFloat64> sums) {
  /** What is added to cross-entropy: s, in [0, 1), and z, at least 0. */
  public record Options(double labelSmoothing, double zLoss) {
    public static final Options NONE = new Options(0, 0);
  }

  static LossGraph build(LanguageModel model) {
    Ops tf = Ops.create(model.graph()).withSubScope("loss");
    var anyBatch = Placeholder.shape(Shape.of(-1, -1));
    var targets = tf.placeholder(TInt32.class, anyBatch); // [B, L]
    var weights = tf.placeholder(TFloat32.class, anyBatch); // [B, L]
    return build(tf, model.logits(), targets.asOutput(), weights.asOutput(), Options.NONE);
  }

  /** The loss of other logits for the same targets and weights. */
  LossGraph of(LanguageModel model) {
    Ops tf = Ops.create(model.graph()).withSubScope("evaluation");
    var ids = targets.expect(TInt32.class);
    return build(tf, model.logits(), ids, weights, Options.NONE);
  }

  /** Adds the loss of logits [B, L, V]; several may share targets and weights [B, L]. */
  static LossGraph build(
      Ops tf,
      Operand<TFloat32> predicted,
      Output<TInt32> targets,
      Output<TFloat32> weights,
      Options options) {
    var row = tf.constant(new int[] {-1});
    // Two dimensions: TensorFlow's gradients of log-softmax are wrong in more.
    var vocabulary = tf.gather(tf.shape(predicted), tf.constant(2), tf.constant(0)); // V
    var logits = tf.reshape(predicted, tf.stack(List.of(tf.constant(-1), vocabulary))); // [B*L, V]
    var flatTargets = tf.reshape(targets, row); // [B*L]
    var flatWeights = tf.reshape(weights, row); // [B*L]
    var labels = tf.oneHot(flatTargets, vocabulary, tf.constant(1f), tf.constant(0f)); // [B*L, V]
    var entropy = tf.nn.softmaxCrossEntropyWithLogits(logits, labels).loss(); // [B*L]
    var weighted = tf.math.mul(entropy, flatWeights);
    var count = tf.reduceSum(flatWeights, tf.constant(0));
    var minimized =
        options.equals(Options.NONE)
            ? weighted
            : tf.math.mul(minimized(tf, logits, labels, entropy, vocabulary, options), flatWeights);
    var least = tf.constant(1e-9f);
    var total = tf.reduceSum(minimized, tf.constant(0));
    var loss = tf.math.div(total, tf.math.maximum(count, least));
    var guesses = tf.math.argMax(logits, tf.constant(1), TInt32.class); // [B*L]
    var hits = tf.dtypes.cast(tf.math.equal(guesses, flatTargets), TFloat32.class);
    var right = tf.math.mul(hits, flatWeights);
    var sums = tf.stack(List.of(sum(tf, weighted), sum(tf, right), sum(tf, flatWeights))); // [3]
    return new LossGraph(targets, weights, loss.asOutput(), total.asOutput(), sums.asOutput());
  }

  /** Adds the mean squared error of numbers [B, K]; several may share targets and weights. */
  static LossGraph ofNumbers(
      Ops tf, Operand<TFloat32> predicted, Output<TFloat32> targets, Output<TFloat32> weights) {
    var squares = tf.math.squaredDifference(predicted, targets); // [B, K]
    return mean(tf, squares, tf.constant(Double.NaN), targets, weights);
  }

  /** Adds the mean binary cross-entropy of logits [B, C] and targets 0 or 1. */
  static LossGraph ofFlags(
      Ops tf, Operand<TFloat32> logits, Output<TFloat32> targets, Output<TFloat32> weights) {
    var entropy = binaryCrossEntropy(tf, logits, targets); // [B, C]
    var zero = tf.constant(0f);
    var half = tf.constant(0.5f);
    var hits = tf.math.equal(tf.math.greater(logits, zero), tf.math.greater(targets, half));
    var right = tf.math.mul(tf.dtypes.cast(hits, TFloat32.class), weights);
    return mean(
        tf, entropy, sum(tf, tf.reshape(right, tf.constant(new int[] {-1}))), targets, weights);
  }

  /** {@code z·log(1 + exp(−x)) + (1 − z)·log(1 + exp(x))} of logits x and targets z. */
  static Operand<TFloat32> binaryCrossEntropy(
      Ops tf, Operand<TFloat32> logits, Operand<TFloat32> targets) {
    var ofOnes = tf.math.mul(targets, tf.math.softplus(tf.math.neg(logits)));
    var zeros = tf.math.sub(tf.constant(1f), targets);
    return tf.math.add(ofOnes, tf.math.mul(zeros, tf.math.softplus(logits)));
  }

  /** Logits whose softmax, over the last axis, is these probabilities. */
  static Operand<TFloat32> logits(Ops tf, Operand<TFloat32> probabilities) {
    return tf.math.log(clipped(tf, probabilities));
  }

  /** Logits whose sigmoid is these probabilities. */
  static Operand<TFloat32> binaryLogits(Ops tf, Operand<TFloat32> probabilities) {
    var p = clipped(tf, probabilities);
    return tf.math.sub(tf.math.log(p), tf.math.log(tf.math.sub(tf.constant(1f), p)));
  }

  /** As Keras clips them before it takes logarithms. */
  private static Operand<TFloat32> clipped(Ops tf, Operand<TFloat32> probabilities) {
    return tf.clipByValue(probabilities, tf.constant(1e-7f), tf.constant(1 - 1e-7f));
  }

  private static LossGraph mean(
      Ops tf,
      Operand<TFloat32> losses,
      Operand<TFloat64> right,
      Output<TFloat32> targets,
      Output<TFloat32> weights) {
    var axes = tf.constant(new int[] {0, 1});
    var weighted = tf.math.mul(losses, weights); // [B, K]
    var count = tf.math.maximum(tf.reduceSum(weights, axes), tf.constant(1e-9f));
    var total = tf.reduceSum(weighted, axes);
    var loss = tf.math.div(total, count);
    var row = tf.constant(new int[] {-1});
    var summed = sum(tf, tf.reshape(weighted, row));
    var sums = tf.stack(List.of(summed, right, sum(tf, tf.reshape(weights, row)))); // [3]
    return new LossGraph(targets, weights, loss.asOutput(), total.asOutput(), sums.asOutput());
  }

  private static Operand<TFloat32> minimized(
      Ops tf,
      Operand<TFloat32> logits,
      Operand<TFloat32> labels,
      Operand<TFloat32> entropy,
      Operand<TInt32> vocabulary,
      Options options) {
    Operand<TFloat32> result = entropy; // [B*L]
    if (options.labelSmoothing() > 0) {
      float s = (float) options.labelSmoothing();
      var share = tf.math.div(tf.constant(s), tf.dtypes.cast(vocabulary, TFloat32.class));
      var smooth = tf.math.add(tf.math.mul(labels, tf.constant(1 - s)), share); // [B*L, V]
      result = tf.nn.softmaxCrossEntropyWithLogits(logits, smooth).loss();
    }
    if (options.zLoss() > 0) {
      var rowMax = tf.reduceMax(logits, tf.constant(1), ReduceMax.keepDims(true)); // [B*L, 1]
      var largest = tf.stopGradient(rowMax);
      var exponentials = tf.math.exp(tf.math.sub(logits, largest));
      var log = tf.math.log(tf.reduceSum(exponentials, tf.constant(1)));
      var z = tf.math.add(log, tf.squeeze(largest, Squeeze.axis(List.of(1L)))); // [B*L]
      var penalty = tf.math.mul(tf.math.square(z), tf.constant((float) options.zLoss()));
      result = tf.math.add(result, penalty);
    }
    return result;
  }

  private static Operand<TFloat64> sum(Ops tf, Operand<TFloat32> values) {
    return tf.reduceSum(tf.dtypes.cast(values, TFloat64.class), tf.constant(0));
  }
}
