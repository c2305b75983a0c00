package dev.performer.savedmodel;

import dev.performer.model.Inputs;
import dev.performer.model.Mode;
import dev.performer.model.Outputs;
import dev.performer.model.Task;
import dev.performer.savedmodel.PerformerGraph.Signature;
import dev.performer.savedmodel.PerformerGraph.SignatureBuilder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The signatures of a model that Java built.
 *
 * <p>{@code serving_default}: tokens to logits; encoders keep Model Garden's names. {@code embed}:
 * tokens to one vector per token and their mean without padding. {@code score}: tokens to the
 * log-probability of each, see {@link ScoreSignature}.
 */
public final class PerformerSignatures {
  /** The input of all but encoders, {@code [B, L]}. */
  public static final String TOKENS = "tokens";

  /** The output of language models {@code [B, L, V]} and classifiers {@code [B, classes]}. */
  public static final String LOGITS = "logits";

  /** Each asks the graph whether it applies; new kinds of signatures are added here. */
  private static final List<SignatureBuilder> BUILDERS =
      List.of(
          PerformerSignatures::serving,
          PerformerSignatures::embed,
          ScoreSignature::build,
          DecodingSignatures::prefill,
          DecodingSignatures::step);

  private PerformerSignatures() {}

  /** All signatures of a model. */
  static List<Signature> of(PerformerGraph graph) {
    return BUILDERS.stream().map(builder -> builder.build(graph)).filter(Objects::nonNull).toList();
  }

  private static Signature serving(PerformerGraph graph) {
    Task task = graph.config().task();
    return task == Task.ENCODER ? encoder(graph) : task.hasDecoder() ? pair(graph) : tokens(graph);
  }

  private static Signature tokens(PerformerGraph graph) {
    Operand<TInt32> tokens = graph.ids();
    Outputs outputs = graph.apply(tokens);
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    if (outputs.logits() != null) {
      results.put(LOGITS, outputs.logits());
    }
    if (outputs.classLogits() != null) {
      results.put(outputs.logits() == null ? LOGITS : "class_logits", outputs.classLogits());
    }
    return new Signature(SavedModelExporter.DEFAULT_SIGNATURE, Map.of(TOKENS, tokens), results);
  }

  private static Signature pair(PerformerGraph graph) {
    Operand<TInt32> tokens = graph.ids();
    Operand<TInt32> target = graph.ids();
    Outputs outputs =
        graph
            .model()
            .apply(graph.tf(), Inputs.of(tokens).withDecoder(target, null), Mode.inference());
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(TOKENS, tokens);
    inputs.put("decoder_tokens", target);
    return new Signature(
        SavedModelExporter.DEFAULT_SIGNATURE, inputs, Map.of(LOGITS, outputs.logits()));
  }

  private static Signature encoder(PerformerGraph graph) {
    Ops tf = graph.tf();
    Operand<TInt32> words = graph.ids();
    Operand<TInt32> mask = graph.ids();
    Operand<TInt32> types = graph.ids();
    Inputs inputs = Inputs.of(words, tf.dtypes.cast(mask, TFloat32.class));
    if (graph.config().tokenTypes() > 0) {
      inputs = inputs.withTokenTypes(types);
    }
    Outputs outputs = graph.model().apply(tf, inputs, Mode.inference());
    Map<String, Operand<?>> named = new LinkedHashMap<>();
    named.put("input_word_ids", words);
    named.put("input_mask", mask);
    if (graph.config().tokenTypes() > 0) {
      named.put("input_type_ids", types);
    }
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put("sequence_output", outputs.sequence());
    results.put("pooled_output", outputs.pooled());
    if (outputs.classLogits() != null) {
      results.put("class_logits", outputs.classLogits());
    }
    return new Signature(SavedModelExporter.DEFAULT_SIGNATURE, named, results);
  }

  private static Signature embed(PerformerGraph graph) {
    Task task = graph.config().task();
    if (task == Task.ENCODER || task.hasDecoder()) {
      return null;
    }
    Operand<TInt32> tokens = graph.ids();
    Outputs outputs = graph.apply(tokens);
    Operand<TFloat32> states = outputs.sequence(); // [B, L, E]
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put("embeddings", states);
    results.put("embedding", mean(graph, states, weights(graph, tokens, outputs)));
    return new Signature("embed", Map.of(TOKENS, tokens), results);
  }

  /** Where a state is that of a token; a class token makes positions of its own. */
  private static Operand<TFloat32> weights(
      PerformerGraph graph, Operand<TInt32> tokens, Outputs outputs) {
    return graph.config().classToken() ? outputs.mask() : graph.realTokens(tokens);
  }

  private static Operand<TFloat32> mean(
      PerformerGraph graph, Operand<TFloat32> states, Operand<TFloat32> weights) {
    Ops tf = graph.tf();
    if (weights == null) {
      return tf.math.mean(states, tf.constant(1));
    }
    var sum =
        tf.reduceSum(tf.math.mul(states, tf.expandDims(weights, tf.constant(2))), tf.constant(1));
    var count = tf.reduceSum(weights, tf.constant(1), ReduceSum.keepDims(true)); // [B, 1]
    return tf.math.div(sum, tf.math.maximum(count, tf.constant(1f))); // [B, E]
  }
}
