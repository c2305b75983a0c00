package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.model.RecurrentDecoder;
import dev.performer.model.Task;
import dev.performer.savedmodel.PerformerGraph.Signature;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Signatures with which causal language models generate. {@code prefill}: tokens {@code [B, T]} and
 * their lengths {@code [B]} to logits {@code [B, V]} of the next token and the states. {@code
 * decode_step}: token {@code [B]}, position {@code [B]} and states to logits and states.
 */
public final class DecodingSignatures {
  public static final String PREFILL = "prefill";
  public static final String STEP = "decode_step";
  public static final String LENGTHS = "lengths";
  public static final String TOKEN = "token";
  public static final String POSITION = "position";

  private DecodingSignatures() {}

  /** Null for models without a recurrent form. */
  static Signature prefill(PerformerGraph graph) {
    RecurrentDecoder decoder = decoder(graph);
    if (decoder == null) {
      return null;
    }
    Ops tf = graph.tf();
    Operand<TInt32> tokens = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1, -1)));
    Operand<TInt32> lengths = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(PerformerSignatures.TOKENS, tokens);
    inputs.put(LENGTHS, lengths);
    return new Signature(PREFILL, inputs, outputs(tf, decoder.prefill(tf, tokens, lengths)));
  }

  /** Null for models without a recurrent form. */
  static Signature step(PerformerGraph graph) {
    RecurrentDecoder decoder = decoder(graph);
    if (decoder == null) {
      return null;
    }
    Ops tf = graph.tf();
    Operand<TInt32> token = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    Operand<TInt32> position = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(TOKEN, token);
    inputs.put(POSITION, position);
    Map<String, Operand<TFloat32>> states = new LinkedHashMap<>();
    decoder
        .states()
        .forEach(
            (name, shape) ->
                states.put(name, tf.placeholder(TFloat32.class, Placeholder.shape(shape))));
    inputs.putAll(states);
    return new Signature(STEP, inputs, outputs(tf, decoder.step(tf, token, position, states)));
  }

  /** Every output an op of its own: one that is an input, too, would be no output of the graph. */
  private static Map<String, Operand<?>> outputs(Ops tf, RecurrentDecoder.Advance advance) {
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put(PerformerSignatures.LOGITS, advance.logits());
    advance.states().forEach((name, state) -> results.put(name, tf.identity(state)));
    return results;
  }

  private static RecurrentDecoder decoder(PerformerGraph graph) {
    if (graph.config().task() != Task.CAUSAL_LM) {
      return null;
    }
    try {
      return new RecurrentDecoder(graph.tf(), graph.model());
    } catch (PerformerException e) { // some attention runs in parallel only
      return null;
    }
  }
}
