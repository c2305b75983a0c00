package dev.performer.distill;

import static dev.performer.PerformerException.require;

import dev.performer.distill.DistillRecipe.Loss;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import java.util.List;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.framework.losses.Losses;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TNumber;

/**
 * How far a student is from its teacher on a batch; padding counts nowhere, and no gradient reaches
 * the teacher.
 *
 * @param loss the weighted sum, scalar
 * @param cosines of the embeddings of each sequence, {@code [B]}
 * @param sums mean error of hidden states and of attention over layers; then sums over tokens: of
 *     divergence, of real tokens, of right guesses of the student and of the teacher, of guesses;
 *     {@code [7]}
 */
record DistillLoss(Output<TFloat32> loss, Output<TFloat32> cosines, Output<TFloat64> sums) {
  private static final float TINY = 1e-12f;

  /** What is fed, each {@code [B, L]}: mask 1 at real tokens, right ids, weights of guesses. */
  record Batch(
      Operand<TInt32> tokens,
      Operand<TFloat32> mask,
      Operand<TInt32> targets,
      Operand<TFloat32> weights) {}

  static DistillLoss build(
      Ops tf, PerformerConfig config, Loss share, Outputs student, Outputs teacher, Batch batch) {
    requireTerms(config, share, student.logits() != null);
    Operand<TFloat32> real = positions(tf, config, batch.mask());
    Operand<TFloat32> hidden = errors(tf, student, teacher, real, Outputs.Layer::hidden);
    var attention = errors(tf, student, teacher, real, Outputs.Layer::attentionOutput);
    var taught = tf.stopGradient(mean(tf, teacher.sequence(), real)); // [B, E]
    var learned = mean(tf, student.sequence(), real);
    Operand<TFloat32> cosines = Losses.cosineSimilarity(tf, taught, learned, new int[] {1}); // [B]
    var layers = tf.constant((float) student.layers().size());
    var ofHidden = weighted(tf, share.hidden(), hidden);
    Operand<TFloat32> loss = tf.math.add(ofHidden, weighted(tf, share.attention(), attention));
    if (!config.attentionOf(0).isCausal()) {
      var apart = tf.math.sub(tf.constant(1f), tf.math.mean(cosines, tf.constant(0)));
      loss = tf.math.add(loss, weighted(tf, share.embedding(), apart));
    }
    Operand<TFloat64> divergence = tf.constant(0.0);
    Operand<TFloat64> right = divergence;
    Operand<TFloat64> rightOfTeacher = divergence;
    if (student.logits() != null) {
      // Two dimensions: TensorFlow's gradients of log-softmax are wrong in more.
      var flat = tf.constant(new int[] {-1, config.vocabularySize()});
      var ours = tf.reshape(student.logits(), flat); // [B*L, V]
      var theirs = tf.stopGradient(tf.reshape(teacher.logits(), flat)); // [B*L, V]
      var sum = total(tf, tf.math.mul(divergence(tf, ours, theirs), row(tf, batch.mask())));
      var count = tf.math.maximum(total(tf, batch.mask()), tf.constant(1f));
      loss = tf.math.add(loss, weighted(tf, share.logits(), tf.math.div(sum, count)));
      divergence = wide(tf, sum);
      right = right(tf, ours, batch);
      rightOfTeacher = right(tf, theirs, batch);
    }
    var sums =
        List.of(
            wide(tf, tf.math.div(hidden, layers)),
            wide(tf, tf.math.div(attention, layers)),
            divergence,
            wide(tf, total(tf, batch.mask())),
            right,
            rightOfTeacher,
            wide(tf, total(tf, batch.weights())));
    return new DistillLoss(loss.asOutput(), cosines.asOutput(), tf.stack(sums).asOutput());
  }

  private static void requireTerms(PerformerConfig config, Loss share, boolean hasLogits) {
    double sum = share.hidden() + share.attention() + (hasLogits ? share.logits() : 0);
    sum += config.attentionOf(0).isCausal() ? 0 : share.embedding();
    String text =
        "loss: nothing would be learned, for %s; give hidden or attention a weight above 0";
    String why =
        hasLogits
            ? "embedding is no term of causal models"
            : "logits is a term of language models only";
    require(sum > 0, text, why);
  }

  /** The mask as layers have it: a class token stands in front and is real. */
  private static Operand<TFloat32> positions(
      Ops tf, PerformerConfig config, Operand<TFloat32> mask) {
    if (!config.classToken()) {
      return mask;
    }
    var first = tf.slice(mask, tf.constant(new int[] {0, 0}), tf.constant(new int[] {-1, 1}));
    return tf.concat(List.of(tf.onesLike(first), mask), tf.constant(1)); // [B, L+1]
  }

  /** Sum over layers of squared error over variance around each component's mean over tokens. */
  private static Operand<TFloat32> errors(
      Ops tf,
      Outputs student,
      Outputs teacher,
      Operand<TFloat32> real,
      Function<Outputs.Layer, Operand<TFloat32>> part) {
    Operand<TFloat32> sum = tf.constant(0f);
    for (int i = 0; i < student.layers().size(); i++) {
      var ours = part.apply(student.layers().get(i));
      var theirs = tf.stopGradient(part.apply(teacher.layers().get(i)));
      var column = tf.expandDims(real, tf.constant(2)); // [B, L, 1]
      var rows = tf.constant(new int[] {0, 1});
      var count = tf.math.maximum(total(tf, real), tf.constant(1f));
      var all = tf.reduceSum(tf.math.mul(theirs, column), rows, ReduceSum.keepDims(true));
      var mean = tf.math.div(all, count); // [1, 1, E]
      var error = total(tf, tf.math.mul(tf.math.square(tf.math.sub(ours, theirs)), column));
      var variance = total(tf, tf.math.mul(tf.math.square(tf.math.sub(theirs, mean)), column));
      sum = tf.math.add(sum, tf.math.div(error, tf.math.maximum(variance, tf.constant(TINY))));
    }
    return sum;
  }

  private static Operand<TFloat32> mean(Ops tf, Operand<TFloat32> states, Operand<TFloat32> real) {
    var column = tf.expandDims(real, tf.constant(2)); // [B, L, 1]
    var count = tf.reduceSum(real, tf.constant(1), ReduceSum.keepDims(true)); // [B, 1]
    var sum = tf.reduceSum(tf.math.mul(states, column), tf.constant(1)); // [B, E]
    return tf.math.div(sum, tf.math.maximum(count, tf.constant(1f)));
  }

  /** Kullback-Leibler from {@code theirs} to {@code ours}, nats; {@code [B*L]}. */
  private static Operand<TFloat32> divergence(
      Ops tf, Operand<TFloat32> ours, Operand<TFloat32> theirs) {
    var likely = tf.nn.softmax(theirs); // [B*L, V]
    var crossed = tf.nn.softmaxCrossEntropyWithLogits(ours, likely).loss();
    var gained = tf.reduceSum(tf.math.mul(likely, tf.nn.logSoftmax(theirs)), tf.constant(1));
    return tf.math.sub(crossed, tf.math.neg(gained));
  }

  private static Operand<TFloat64> right(Ops tf, Operand<TFloat32> logits, Batch batch) {
    var guesses = tf.math.argMax(logits, tf.constant(1), TInt32.class); // [B*L]
    var isRight = tf.math.equal(guesses, row(tf, batch.targets()));
    var counted = tf.math.mul(tf.dtypes.cast(isRight, TFloat32.class), row(tf, batch.weights()));
    return wide(tf, total(tf, counted));
  }

  private static <T extends TNumber> Operand<T> row(Ops tf, Operand<T> matrix) {
    return tf.reshape(matrix, tf.constant(new int[] {-1}));
  }

  private static Operand<TFloat32> weighted(Ops tf, double weight, Operand<TFloat32> x) {
    return tf.math.mul(x, tf.constant((float) weight));
  }

  private static Operand<TFloat32> total(Ops tf, Operand<TFloat32> x) {
    return tf.reduceSum(row(tf, x), tf.constant(0));
  }

  private static Operand<TFloat64> wide(Ops tf, Operand<TFloat32> x) {
    return tf.dtypes.cast(x, TFloat64.class);
  }
}
