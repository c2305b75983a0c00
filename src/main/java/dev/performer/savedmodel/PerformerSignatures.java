package dev.performer.savedmodel;

import static dev.performer.savedmodel.ImportedModel.DEFAULT_SIGNATURE;

import dev.performer.PerformerException;
import dev.performer.graph.Variable;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.model.PerformerConfig.Pooling;
import dev.performer.model.RecurrentDecoder;
import dev.performer.model.Sequences;
import dev.performer.model.Task;
import dev.performer.model.TextEmbedding;
import dev.performer.nn.Dropout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The signatures of a model that Java built, in a graph that stays its maker's. {@code
 * serving_default}: tokens to logits; encoders keep Model Garden's names. {@code embed}: tokens to
 * one vector per token and their mean without padding. {@code score}: see {@link ScoreSignature}.
 *
 * <p>Causal language models generate with three more. {@code prefill}: tokens {@code [B, T]} and
 * their lengths {@code [B]} to logits {@code [B, V]} of the next token and the states. {@code
 * decode_step}: token {@code [B]}, position {@code [B]} and states to logits and states. {@code
 * extend}: more tokens {@code [B, T]}, their lengths, where 0 leaves a row as it is, the position
 * {@code [B]} of the first, and states to logits behind the last and states. Position 0 is the
 * first token that the model reads: its begin token where it has one. {@code generate}: see {@link
 * GenerateSignature}.
 *
 * @param variables those of the model, by name
 * @param card what of its vocabulary, language model and embedding is known; no embedding is the
 *     mean over tokens, which encoders do not have
 */
public record PerformerSignatures(
    Ops tf, Performer model, Function<String, Variable> variables, ModelCard card) {
  /** The input of all but encoders, {@code [B, L]}. */
  public static final String TOKENS = "tokens";

  /** The output of language models {@code [B, L, V]} and classifiers {@code [B, classes]}. */
  public static final String LOGITS = "logits";

  public static final String PREFILL = "prefill";
  public static final String STEP = "decode_step";
  public static final String EXTEND = "extend";
  public static final String GENERATE = "generate";
  public static final String LENGTHS = "lengths";
  public static final String LOG_PROBABILITIES = "log_probabilities";
  public static final String TOKEN = "token";
  public static final String POSITION = "position";

  /** A signature: placeholders and what is computed from them, by the names that callers use. */
  record Signature(String name, Map<String, Operand<?>> inputs, Map<String, Operand<?>> outputs) {}

  List<Signature> all() {
    List<Signature> signatures = new ArrayList<>();
    Task task = config().task();
    boolean isEncoder = task == Task.ENCODER;
    signatures.add(isEncoder ? encoder() : task.hasDecoder() ? pair() : tokens());
    boolean hasVectors = isEncoder ? card.embedding() != null : !task.hasDecoder();
    signatures.add(!hasVectors ? null : isEncoder ? encoderEmbed() : embed());
    signatures.add(ScoreSignature.build(this));
    RecurrentDecoder decoder = decoder();
    if (decoder != null) {
      signatures.add(prefill(decoder));
      signatures.add(step(decoder));
      signatures.add(extend(decoder));
      var next = NextTokens.of(card, config().vocabularySize());
      signatures.add(GenerateSignature.build(this, decoder, next));
    }
    return signatures.stream().filter(Objects::nonNull).toList();
  }

  PerformerConfig config() {
    return model.config();
  }

  ModelCard.Vocabulary vocabulary() {
    return card.vocabulary();
  }

  Operand<TInt32> ints(long... shape) {
    return tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(shape)));
  }

  /** A placeholder for int32 {@code [B, L]}; L is fixed only where the model's weights fix it. */
  Operand<TInt32> ids() {
    boolean isFixed = config().pooling() == Pooling.FLATTEN && config().hasClassifier();
    return ints(-1, isFixed ? config().maxLength() : -1);
  }

  private Outputs apply(Inputs inputs) {
    return model.apply(tf, inputs, Dropout.none());
  }

  /** The model without dropout on tokens, with padding as the configuration knows it. */
  Outputs apply(Operand<TInt32> tokens) {
    return apply(Inputs.of(tokens));
  }

  /**
   * 1 where a token is not padding, {@code [B, L]}; null if neither configuration nor vocabulary
   * knows the id of padding.
   */
  Operand<TFloat32> realTokens(Operand<TInt32> tokens) {
    Integer ofVocabulary = vocabulary() == null ? null : vocabulary().padId();
    return Sequences.maskOf(tf, tokens, config().padId() == null ? ofVocabulary : config().padId());
  }

  private Signature tokens() {
    Operand<TInt32> tokens = ids();
    Outputs outputs = apply(tokens);
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    if (outputs.logits() != null) {
      results.put(LOGITS, outputs.logits());
    }
    if (outputs.classLogits() != null) {
      results.put(outputs.logits() == null ? LOGITS : "class_logits", outputs.classLogits());
    }
    return new Signature(DEFAULT_SIGNATURE, Map.of(TOKENS, tokens), results);
  }

  private Signature pair() {
    Operand<TInt32> tokens = ids();
    Operand<TInt32> target = ids();
    Map<String, Operand<?>> named = new LinkedHashMap<>();
    named.put(TOKENS, tokens);
    named.put("decoder_tokens", target);
    Outputs outputs = apply(Inputs.of(tokens).withDecoder(target, null));
    return new Signature(DEFAULT_SIGNATURE, named, Map.of(LOGITS, outputs.logits()));
  }

  /** Fills in the inputs of an encoder. */
  private Outputs encoder(Map<String, Operand<TInt32>> named) {
    Operand<TInt32> words = ids();
    Operand<TInt32> mask = ids();
    named.put("input_word_ids", words);
    named.put("input_mask", mask);
    Inputs inputs = Inputs.of(words, tf.dtypes.cast(mask, TFloat32.class));
    if (config().tokenTypes() > 0) {
      Operand<TInt32> types = ids();
      named.put("input_type_ids", types);
      inputs = inputs.withTokenTypes(types);
    }
    return apply(inputs);
  }

  private Signature encoderEmbed() {
    Map<String, Operand<TInt32>> named = new LinkedHashMap<>();
    Operand<TFloat32> states = encoder(named).sequence();
    var mask = tf.dtypes.cast(named.get("input_mask"), TFloat32.class);
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put("embeddings", states);
    results.put("embedding", card.embedding().of(tf, states, mask));
    return new Signature("embed", new LinkedHashMap<>(named), results);
  }

  private Signature encoder() {
    Map<String, Operand<TInt32>> named = new LinkedHashMap<>();
    Outputs outputs = encoder(named);
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put("sequence_output", outputs.sequence());
    results.put("pooled_output", outputs.pooled());
    if (outputs.classLogits() != null) {
      results.put("class_logits", outputs.classLogits());
    }
    return new Signature(DEFAULT_SIGNATURE, new LinkedHashMap<>(named), results);
  }

  private Signature embed() {
    Operand<TInt32> tokens = ids();
    Outputs outputs = apply(tokens);
    Operand<TFloat32> states = outputs.sequence(); // [B, L, E]
    // Where a state is that of a token; a class token makes positions of its own.
    var mask = config().classToken() ? outputs.mask() : realTokens(tokens);
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put("embeddings", states);
    TextEmbedding embedding = card.embedding();
    var vectors =
        embedding == null ? Sequences.mean(tf, states, mask) : embedding.of(tf, states, mask);
    results.put("embedding", vectors); // [B, E]
    return new Signature("embed", Map.of(TOKENS, tokens), results);
  }

  private Signature prefill(RecurrentDecoder decoder) {
    Operand<TInt32> tokens = ints(-1, -1);
    Operand<TInt32> lengths = ints(-1);
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(TOKENS, tokens);
    inputs.put(LENGTHS, lengths);
    return advance(PREFILL, inputs, decoder.prefill(tf, tokens, lengths));
  }

  private Signature step(RecurrentDecoder decoder) {
    Operand<TInt32> token = ints(-1);
    Operand<TInt32> position = ints(-1);
    var states = states(decoder);
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(TOKEN, token);
    inputs.put(POSITION, position);
    inputs.putAll(states);
    return advance(STEP, inputs, decoder.step(tf, token, position, states));
  }

  private Signature extend(RecurrentDecoder decoder) {
    Operand<TInt32> tokens = ints(-1, -1);
    Operand<TInt32> lengths = ints(-1);
    Operand<TInt32> position = ints(-1);
    var states = states(decoder);
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(TOKENS, tokens);
    inputs.put(LENGTHS, lengths);
    inputs.put(POSITION, position);
    inputs.putAll(states);
    return advance(EXTEND, inputs, decoder.extend(tf, tokens, lengths, position, states));
  }

  private Map<String, Operand<TFloat32>> states(RecurrentDecoder decoder) {
    Map<String, Operand<TFloat32>> states = new LinkedHashMap<>();
    decoder
        .states()
        .forEach(
            (name, shape) ->
                states.put(name, tf.placeholder(TFloat32.class, Placeholder.shape(shape))));
    return states;
  }

  /** Every output an op of its own: one that is an input, too, would be no output of the graph. */
  private Signature advance(
      String name, Map<String, Operand<?>> inputs, RecurrentDecoder.Advance advance) {
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put(LOGITS, advance.logits());
    advance.states().forEach((state, value) -> results.put(state, tf.identity(value)));
    return new Signature(name, inputs, results);
  }

  /** Null for models without a recurrent form. */
  private RecurrentDecoder decoder() {
    try {
      return config().task() == Task.CAUSAL_LM ? new RecurrentDecoder(tf, model) : null;
    } catch (PerformerException e) { // some attention runs in parallel only
      return null;
    }
  }
}
