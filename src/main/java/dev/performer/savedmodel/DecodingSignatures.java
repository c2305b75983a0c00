package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.model.RecurrentDecoder;
import dev.performer.model.Task;
import dev.performer.savedmodel.PerformerGraph.Signature;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Signatures with which causal language models generate. {@code prefill}: tokens {@code [B, T]} and
 * their lengths {@code [B]} to logits {@code [B, V]} of the next token and the states. {@code
 * decode_step}: token {@code [B]}, position {@code [B]} and states to logits and states. Null for
 * models without a recurrent form.
 */
public final class DecodingSignatures {
  public static final String PREFILL = "prefill";
  public static final String STEP = "decode_step";
  public static final String LENGTHS = "lengths";
  public static final String TOKEN = "token";
  public static final String POSITION = "position";

  private DecodingSignatures() {}

  static Signature prefill(PerformerGraph graph) {
    RecurrentDecoder decoder = decoder(graph);
    if (decoder == null) {
      return null;
    }
    Operand<TInt32> tokens = graph.ints(-1, -1);
    Operand<TInt32> lengths = graph.ints(-1);
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(PerformerSignatures.TOKENS, tokens);
    inputs.put(LENGTHS, lengths);
    return signature(graph.tf(), PREFILL, inputs, decoder.prefill(graph.tf(), tokens, lengths));
  }

  static Signature step(PerformerGraph graph) {
    RecurrentDecoder decoder = decoder(graph);
    if (decoder == null) {
      return null;
    }
    Ops tf = graph.tf();
    Operand<TInt32> token = graph.ints(-1);
    Operand<TInt32> position = graph.ints(-1);
    Map<String, Operand<TFloat32>> states = new LinkedHashMap<>();
    decoder
        .states()
        .forEach(
            (name, shape) ->
                states.put(name, tf.placeholder(TFloat32.class, Placeholder.shape(shape))));
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(TOKEN, token);
    inputs.put(POSITION, position);
    inputs.putAll(states);
    return signature(tf, STEP, inputs, decoder.step(tf, token, position, states));
  }

  /** Every output an op of its own: one that is an input, too, would be no output of the graph. */
  private static Signature signature(
      Ops tf, String name, Map<String, Operand<?>> inputs, RecurrentDecoder.Advance advance) {
    Map<String, Operand<?>> results = new LinkedHashMap<>();
    results.put(PerformerSignatures.LOGITS, advance.logits());
    advance.states().forEach((state, value) -> results.put(state, tf.identity(value)));
    return new Signature(name, inputs, results);
  }

  private static RecurrentDecoder decoder(PerformerGraph graph) {
    try {
      boolean generates = graph.config().task() == Task.CAUSAL_LM;
      return generates ? new RecurrentDecoder(graph.tf(), graph.model()) : null;
    } catch (PerformerException e) { // some attention runs in parallel only
      return null;
    }
  }
}
