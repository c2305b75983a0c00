package dev.performer.savedmodel;

import static dev.performer.savedmodel.ImportedModel.DEFAULT_SIGNATURE;

import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.Sequences;
import dev.performer.model.Task;
import dev.performer.nn.Dropout;
import dev.performer.savedmodel.PerformerGraph.Signature;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
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

  private PerformerSignatures() {}

  /** All signatures of a model; each kind is null where it makes no sense for the model. */
  static List<Signature> of(PerformerGraph graph) {
    Stream<Function<PerformerGraph, Signature>> kinds =
        Stream.of(
            PerformerSignatures::serving,
            PerformerSignatures::embed,
            ScoreSignature::build,
            DecodingSignatures::prefill,
            DecodingSignatures::step);
    return kinds.map(kind -> kind.apply(graph)).filter(Objects::nonNull).toList();
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
    return new Signature(DEFAULT_SIGNATURE, Map.of(TOKENS, tokens), results);
  }

  private static Signature pair(PerformerGraph graph) {
    Map<String, Operand<?>> named = new LinkedHashMap<>();
    Operand<TInt32> tokens = graph.ids();
    Operand<TInt32> target = graph.ids();
    named.put(TOKENS, tokens);
    named.put("decoder_tokens", target);
    Inputs inputs = Inputs.of(tokens).withDecoder(target, null);
    Outputs outputs = graph.model().apply(graph.tf(), inputs, Dropout.none());
    return new Signature(DEFAULT_SIGNATURE, named, Map.of(LOGITS, outputs.logits()));
  }

  private static Signature encoder(PerformerGraph graph) {
    Ops tf = graph.tf();
    Operand<TInt32> words = graph.ids();
    Operand<TInt32> mask = graph.ids();
    Operand<TInt32> types = graph.ids();
    Map<String, Operand<?>> named = new LinkedHashMap<>();
    named.put("input_word_ids", words);
    named.put("input_mask", mask);
    Inputs inputs = Inputs.of(words, tf.dtypes.cast(mask, TFloat32.class));
    if (graph.config().tokenTypes() > 0) {
      named.put("input_type_ids", types);
      inputs = inputs.withTokenTypes(types);
    }
    Outputs outputs = graph.model().apply(tf, inputs, Dropout.none());
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put("sequence_output", outputs.sequence());
    results.put("pooled_output", outputs.pooled());
    if (outputs.classLogits() != null) {
      results.put("class_logits", outputs.classLogits());
    }
    return new Signature(DEFAULT_SIGNATURE, named, results);
  }

  private static Signature embed(PerformerGraph graph) {
    Task task = graph.config().task();
    if (task == Task.ENCODER || task.hasDecoder()) {
      return null;
    }
    Operand<TInt32> tokens = graph.ids();
    Outputs outputs = graph.apply(tokens);
    Operand<TFloat32> states = outputs.sequence(); // [B, L, E]
    // Where a state is that of a token; a class token makes positions of its own.
    var mask = graph.config().classToken() ? outputs.mask() : graph.realTokens(tokens);
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put("embeddings", states);
    results.put("embedding", Sequences.mean(graph.tf(), states, mask)); // [B, E]
    return new Signature("embed", Map.of(TOKENS, tokens), results);
  }
}
