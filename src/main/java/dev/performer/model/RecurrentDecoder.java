package dev.performer.model;

import static dev.performer.PerformerException.require;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.RecurrentForm;
import dev.performer.nn.RecurrentHeads;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gather;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A causal language model that reads a sequence in pieces, with states between them: prompts whole
 * or in parts, then a step per token whose time does not grow with the sequence (exact heads
 * excepted).
 */
public final class RecurrentDecoder {
  private final Performer model;
  private final PerformerConfig config;
  private final List<RecurrentHeads> layers;

  /** Logits {@code [B, V]} of the next token, and the states after what was read, by name. */
  public record Advance(Operand<TFloat32> logits, Map<String, Operand<TFloat32>> states) {}

  /** Over a causal language model. @throws PerformerException if a layer has no recurrent form */
  public RecurrentDecoder(Ops tf, Performer model) {
    this.model = model;
    config = model.config();
    boolean isCausal = config.task() == Task.CAUSAL_LM;
    require(isCausal, "only a causal language model (task causal-lm) can generate");
    var numbers = IntStream.range(0, config.layers());
    layers = numbers.mapToObj(i -> RecurrentHeads.of(tf, model.attention(i))).toList();
  }

  /** Names and shapes of the states, {@code [B, …]}; −1 is unknown. */
  public Map<String, Shape> states() {
    return shapes(RecurrentForm::states);
  }

  /** The same of what {@link #defer} keeps beside states. */
  public Map<String, Shape> waiting() {
    return shapes(RecurrentForm::waiting);
  }

  private Map<String, Shape> shapes(Function<RecurrentForm, List<RecurrentForm.State>> of) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    for (int i = 0; i < layers.size(); i++) {
      for (RecurrentForm.State state : of.apply(layers.get(i))) {
        shapes.put(name(i, state), Shape.of(-1).append(Shape.of(state.sizes())));
      }
    }
    return shapes;
  }

  private static String name(int layer, RecurrentForm.State state) {
    return "layer_" + layer + "_" + state.name();
  }

  /**
   * Reads prompts {@code [B, T]}, rows filled up at their end, of lengths {@code [B]}. A model that
   * puts a begin token in front itself does so here too, so its prompts may be empty.
   */
  public Advance prefill(Ops tf, Operand<TInt32> tokens, Operand<TInt32> lengths) {
    Operand<TInt32> read = tokens;
    Operand<TInt32> counts = lengths;
    if (config.shiftBos() != null) {
      read = Sequences.inFront(tf, tokens, tf.constant((int) config.shiftBos()));
      counts = tf.math.add(lengths, tf.constant(1));
    }
    var positions = Sequences.positions(tf, read, 0); // [T]
    var isReal = tf.math.less(positions, tf.expandDims(counts, tf.constant(1))); // [B, T]
    return read(tf, read, counts, isReal, positions, null);
  }

  /**
   * Reads more of texts, {@code [B, T]}, rows filled up at their end, of lengths {@code [B]}, after
   * the states by name; position {@code [B]} is that of each row's first token here. A row of
   * length 0 keeps its state, and its logits mean nothing.
   */
  public Advance extend(
      Ops tf,
      Operand<TInt32> tokens,
      Operand<TInt32> lengths,
      Operand<TInt32> position,
      Map<String, ? extends Operand<TFloat32>> before) {
    var offsets = Sequences.positions(tf, tokens, 0); // [T]
    var column = tf.constant(1);
    var isReal = tf.math.less(offsets, tf.expandDims(lengths, column)); // [B, T]
    var positions = tf.math.add(tf.expandDims(position, column), offsets);
    // Padding may stand where the model has no position.
    return read(tf, tokens, lengths, isReal, tf.select(isReal, positions, tf.constant(0)), before);
  }

  private Advance read(
      Ops tf,
      Operand<TInt32> tokens,
      Operand<TInt32> counts,
      Operand<TBool> isReal,
      Operand<TInt32> positions,
      Map<String, ? extends Operand<TFloat32>> before) {
    Operand<TFloat32> mask = tf.dtypes.cast(isReal, TFloat32.class);
    Map<String, Operand<TFloat32>> states = new LinkedHashMap<>();
    var mixing = mixing(tf, before, mask, states);
    var hidden = model.applyPiece(tf, tokens, positions, mixing).sequence(); // [B, T, E]
    var lastIndex = tf.math.maximum(tf.math.sub(counts, tf.constant(1)), tf.constant(0));
    var column = tf.expandDims(lastIndex, tf.constant(1)); // [B, 1]
    Operand<TFloat32> last = tf.gather(hidden, column, tf.constant(1), Gather.batchDims(1L));
    return advance(tf, model.tokenLogits(tf, last), states);
  }

  /** Attention of a piece after states by name, null for none; those behind it go to a map. */
  Performer.Mixing mixing(
      Ops tf,
      Map<String, ? extends Operand<TFloat32>> before,
      Operand<TFloat32> mask,
      Map<String, Operand<TFloat32>> after) {
    return (layer, own) ->
        keep(
            layer,
            layers.get(layer).states(),
            after,
            layers.get(layer).extend(tf, own(layer, before), own, mask));
  }

  /** The states of one layer, in its order; null for none. */
  private List<Operand<TFloat32>> own(int layer, Map<String, ? extends Operand<TFloat32>> states) {
    return states == null ? null : own(layer, layers.get(layer).states(), states);
  }

  private static List<Operand<TFloat32>> own(
      int layer, List<RecurrentForm.State> of, Map<String, ? extends Operand<TFloat32>> all) {
    return of.stream().<Operand<TFloat32>>map(state -> all.get(name(layer, state))).toList();
  }

  /**
   * Reads one token a row, {@code [B]}, after the states by name. Position 0 is the first token
   * that the model reads: its begin token where it has one.
   */
  public Advance step(
      Ops tf,
      Operand<TInt32> token,
      Operand<TInt32> position,
      Map<String, ? extends Operand<TFloat32>> before) {
    return one(
        tf,
        token,
        position,
        (layer, own, after) -> {
          RecurrentHeads heads = layers.get(layer);
          return keep(layer, heads.states(), after, heads.step(tf, own(layer, before), own));
        });
  }

  /**
   * The same where states are only read as far as {@link #waiting} stands for them: the result has
   * what waits, by name, and the states of which nothing waits.
   */
  public Advance defer(
      Ops tf,
      Operand<TInt32> token,
      Operand<TInt32> position,
      Map<String, ? extends Operand<TFloat32>> before,
      Map<String, ? extends Operand<TFloat32>> waiting) {
    return one(
        tf,
        token,
        position,
        (layer, own, after) -> {
          RecurrentHeads heads = layers.get(layer);
          var late = own(layer, heads.waiting(), waiting);
          return keep(
              layer, heads.deferred(), after, heads.defer(tf, own(layer, before), late, own));
        });
  }

  /** All states once they have taken in what waits. */
  public Map<String, Operand<TFloat32>> settle(
      Ops tf,
      Map<String, ? extends Operand<TFloat32>> before,
      Map<String, ? extends Operand<TFloat32>> waiting) {
    Map<String, Operand<TFloat32>> states = new LinkedHashMap<>();
    for (int i = 0; i < layers.size(); i++) {
      RecurrentHeads heads = layers.get(i);
      var settled = heads.settle(tf, own(i, before), own(i, heads.waiting(), waiting));
      put(i, heads.states(), states, settled);
    }
    return states;
  }

  private interface Step {
    Operand<TFloat32> of(int layer, Projected own, Map<String, Operand<TFloat32>> after);
  }

  private Advance one(Ops tf, Operand<TInt32> token, Operand<TInt32> position, Step step) {
    Map<String, Operand<TFloat32>> after = new LinkedHashMap<>();
    var column = tf.expandDims(token, tf.constant(1)); // [B, 1]
    var at = tf.expandDims(position, tf.constant(1));
    Performer.Mixing mixing = (layer, own) -> step.of(layer, own, after);
    return advance(tf, model.applyPiece(tf, column, at, mixing).logits(), after);
  }

  private static Operand<TFloat32> keep(
      int layer,
      List<RecurrentForm.State> of,
      Map<String, Operand<TFloat32>> all,
      RecurrentForm.Advance advance) {
    put(layer, of, all, advance.states());
    return advance.output();
  }

  private static void put(
      int layer,
      List<RecurrentForm.State> of,
      Map<String, Operand<TFloat32>> all,
      List<Operand<TFloat32>> values) {
    for (int i = 0; i < of.size(); i++) {
      all.put(name(layer, of.get(i)), values.get(i));
    }
  }

  private Advance advance(Ops tf, Operand<TFloat32> logits, Map<String, Operand<TFloat32>> states) {
    var flat = tf.reshape(logits, tf.array(-1, config.vocabularySize()));
    return new Advance(flat, states);
  }
}
