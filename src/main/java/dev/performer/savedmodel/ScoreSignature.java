package dev.performer.savedmodel;

import dev.performer.model.Task;
import dev.performer.savedmodel.PerformerSignatures.Signature;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceMax;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * {@code score}: tokens {@code [B, L]} to {@code log_probabilities} {@code [B, L]}, in nats, and
 * their sum {@code log_probability} {@code [B]}. Padding counts nothing; other ids count as given,
 * also one that ends a sequence.
 *
 * <p>Causal models: of each token given those before it. Where the model does not shift its inputs,
 * nothing stands before the first token, which then counts nothing. Masked models: of each token
 * given all others (pseudo-likelihood); special tokens, which are never guessed in training, count
 * nothing. This runs the model once per token, L × the memory of a prediction.
 */
final class ScoreSignature {
  private ScoreSignature() {}

  /** Null for models that are no language models, and masked ones without a known mask token. */
  static Signature build(PerformerSignatures graph) {
    Task task = graph.config().task();
    boolean isMasked = task == Task.MASKED_LM;
    if (task != Task.CAUSAL_LM && !(isMasked && maskId(graph) != null)) {
      return null;
    }
    Ops tf = graph.tf();
    Operand<TInt32> tokens = graph.ids();
    Operand<TFloat32> scores = isMasked ? masked(graph, tokens) : causal(graph, tokens);
    Operand<TFloat32> real = graph.realTokens(tokens);
    if (real != null) {
      scores = tf.math.mul(scores, real);
    }
    for (Integer special : isMasked ? specials(graph.vocabulary()) : List.<Integer>of()) {
      var isOther = tf.math.notEqual(tokens, tf.constant(special.intValue()));
      scores = tf.math.mul(scores, tf.dtypes.cast(isOther, TFloat32.class));
    }
    Map<String, Operand<?>> outputs = new LinkedHashMap<>();
    outputs.put(PerformerSignatures.LOG_PROBABILITIES, scores);
    outputs.put("log_probability", tf.reduceSum(scores, tf.array(1)));
    return new Signature("score", Map.of(PerformerSignatures.TOKENS, tokens), outputs);
  }

  private static List<Integer> specials(ModelCard.Vocabulary vocabulary) {
    var ids = Stream.of(vocabulary.maskId(), vocabulary.bosId(), vocabulary.eosId());
    return ids.filter(Objects::nonNull).toList();
  }

  private static Integer maskId(PerformerSignatures graph) {
    return graph.vocabulary() == null ? null : graph.vocabulary().maskId();
  }

  private static Operand<TFloat32> causal(PerformerSignatures graph, Operand<TInt32> tokens) {
    Ops tf = graph.tf();
    Operand<TFloat32> logits = graph.apply(tokens).logits(); // [B, L, V]
    if (graph.config().shiftBos() != null) {
      return logProbabilities(graph, logits, tokens);
    }
    // The last column belongs to no token; without it, one token would leave nothing to reduce.
    var after = tf.pad(tokens, tf.constant(new int[][] {{0, 0}, {0, 1}}), tf.constant(0));
    var next = tf.slice(after, tf.array(0, 1), tf.shape(tokens)); // [B, L]
    Operand<TFloat32> scores = logProbabilities(graph, logits, next); // [B, L]
    var first = tf.constant(new int[][] {{0, 0}, {1, 0}}); // a column of 0 in front
    var all = tf.pad(scores, first, tf.constant(0f)); // [B, L+1]
    return tf.slice(all, tf.array(0, 0), tf.shape(tokens));
  }

  /** Row b·L+l of the batch that is run has the mask at l. */
  private static Operand<TFloat32> masked(PerformerSignatures graph, Operand<TInt32> tokens) {
    Ops tf = graph.tf();
    var length = tf.gather(tf.shape(tokens), tf.constant(1), tf.constant(0)); // scalar
    var indices = tf.range(tf.constant(0), length, tf.constant(1));
    var row = tf.expandDims(indices, tf.constant(0));
    var isOwn = tf.math.equal(tf.expandDims(indices, tf.constant(1)), row);
    var diagonal = tf.dtypes.cast(isOwn, TInt32.class); // [L, L]
    var keep = tf.math.sub(tf.constant(1), diagonal);
    var kept = tf.math.mul(tf.expandDims(tokens, tf.constant(1)), keep); // [B, L, L]
    var mask = tf.math.mul(tf.constant(maskId(graph).intValue()), diagonal);
    var hidden = tf.math.add(kept, mask);
    var rows = tf.reshape(hidden, tf.stack(List.of(tf.constant(-1), length))); // [B*L, L]
    Operand<TFloat32> logits = graph.apply(rows).logits(); // [B*L, L, V]
    var vocabulary = tf.constant(graph.config().vocabularySize());
    var square = tf.reshape(logits, tf.stack(List.of(tf.constant(-1), length, length, vocabulary)));
    var own = tf.expandDims(tf.dtypes.cast(diagonal, TFloat32.class), tf.constant(2));
    var chosen = tf.math.mul(square, own); // [B, L, L, V]
    return logProbabilities(graph, tf.reduceSum(chosen, tf.array(2)), tokens);
  }

  /** Not TensorFlow's log-softmax, whose gradient is wrong in three dimensions. */
  private static Operand<TFloat32> logProbabilities(
      PerformerSignatures graph, Operand<TFloat32> logits, Operand<TInt32> tokens) {
    Ops tf = graph.tf();
    var last = tf.array(2);
    var largest = tf.stopGradient(tf.reduceMax(logits, last, ReduceMax.keepDims(true)));
    var centred = tf.math.sub(logits, largest); // [B, L, V]
    var total = tf.math.log(tf.reduceSum(tf.math.exp(centred), last, ReduceSum.keepDims(false)));
    var vocabulary = tf.constant(graph.config().vocabularySize());
    var oneHot = tf.oneHot(tokens, vocabulary, tf.constant(1f), tf.constant(0f));
    return tf.math.sub(tf.reduceSum(tf.math.mul(centred, oneHot), last), total); // [B, L]
  }
}
