package dev.performer.model;

import static dev.performer.PerformerException.require;

import dev.performer.graph.Algebra;
import dev.performer.model.PerformerConfig.Positions;
import dev.performer.nn.Dropout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A causal language model over segments of its sequences: what stands before a segment acts on it
 * by the states of its layers alone, so that segment after segment computes what one pass does.
 */
public final class CausalSegments {
  private final Performer model;
  private final RecurrentDecoder decoder;

  /** Logits of a segment's tokens, {@code [B, T, V]}, and more of it; the states behind it. */
  public record Segment(Performer.Outputs outputs, List<Output<TFloat32>> after) {}

  /**
   * @throws dev.performer.PerformerException as of {@link #check}
   */
  public CausalSegments(Ops tf, Performer model) {
    check(model.config());
    this.model = model;
    decoder = new RecurrentDecoder(tf, model);
  }

  /**
   * @throws dev.performer.PerformerException naming why a model cannot be computed so
   */
  public static void check(PerformerConfig config) {
    String text = "segments need a causal language model (task causal-lm), not task %s";
    require(config.task() == Task.CAUSAL_LM, text, config.task().label());
    text = "segments need positions that do not depend on padding, not learned-behind-padding";
    require(config.positions() != Positions.LEARNED_BEHIND_PADDING, text);
    for (int i = 0; i < config.layers(); i++) {
      AttentionConfig attention = config.attentionOf(i);
      text = "segments need causal linear attention (FAVOR+) in all layers and heads; layer %d %s";
      boolean isLinear = attention instanceof AttentionConfig.Favor;
      require(isLinear, text, i, "attends in another way");
      var favor = ((AttentionConfig.Favor) attention).config();
      require(favor.causal(), text, i, "is not causal");
      require(favor.exactHeads() == 0, text, i, "has exactHeads, whose keys grow with the length");
      text =
          "segments need features of single positions; layer %d takes maxima over positions (kernel %s, convention %s)";
      boolean isLocal = !favor.convention().couplesPositions(favor.kernel());
      require(isLocal, text, i, favor.kernel(), favor.convention());
    }
  }

  /** Shapes of the states, {@code [B, …]}, in their order. */
  public List<Shape> states() {
    return List.copyOf(decoder.states().values());
  }

  /** States before any token, for as many rows as {@code tokens} have. */
  public List<Operand<TFloat32>> zeros(Ops tf, Operand<TInt32> tokens) {
    List<Operand<TFloat32>> zeros = new ArrayList<>();
    for (Shape shape : states()) {
      int[] own = Arrays.stream(shape.tail().asArray()).mapToInt(Math::toIntExact).toArray();
      var sizes = List.of(Algebra.sizes(tf, tokens, 0, 1), tf.array(own));
      zeros.add(tf.fill(tf.concat(sizes, tf.constant(0)), tf.constant(0f)));
    }
    return zeros;
  }

  /**
   * Computes a segment.
   *
   * @param tokens {@code [B, T]}, as the model reads them: shifted, if it shifts
   * @param positions {@code [B, T]}
   * @param mask {@code [B, T]}, 1 = token; rows end in padding
   * @param before the states behind what stands before
   */
  public Segment apply(
      Ops tf,
      Operand<TInt32> tokens,
      Operand<TInt32> positions,
      Operand<TFloat32> mask,
      List<? extends Operand<TFloat32>> before,
      Dropout drop) {
    Map<String, Operand<TFloat32>> named = new LinkedHashMap<>();
    decoder.states().keySet().forEach(name -> named.put(name, before.get(named.size())));
    Map<String, Operand<TFloat32>> after = new LinkedHashMap<>();
    var mixing = decoder.mixing(tf, named, mask, after);
    var outputs = model.applyPiece(tf, tokens, positions, mixing, drop);
    return new Segment(outputs, after.values().stream().map(Operand::asOutput).toList());
  }
}
