package dev.performer.model;

import static dev.performer.PerformerException.require;

import dev.performer.attention.FavorConfig;
import dev.performer.graph.Algebra;
import dev.performer.model.PerformerConfig.Positions;
import dev.performer.nn.Dropout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
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
    obstacle(config).ifPresent(why -> require(false, "segments need %s", why));
  }

  /** What a model lacks for this, in words that follow "segments need". */
  public static Optional<String> obstacle(PerformerConfig config) {
    if (config.task() != Task.CAUSAL_LM) {
      String text = "a causal language model (task causal-lm), not task %s";
      return Optional.of(text.formatted(config.task().label()));
    } else if (config.positions() == Positions.LEARNED_BEHIND_PADDING) {
      return Optional.of("positions that do not depend on padding, not learned-behind-padding");
    }
    return IntStream.range(0, config.layers())
        .mapToObj(i -> obstacle(config.attentionOf(i)).map(why -> "layer " + i + " " + why))
        .flatMap(Optional::stream)
        .findFirst()
        .map(why -> "causal linear attention (FAVOR+) in all layers and heads; " + why);
  }

  private static Optional<String> obstacle(AttentionConfig attention) {
    if (!(attention instanceof AttentionConfig.Favor favor)) {
      return Optional.of("attends in another way");
    }
    FavorConfig c = favor.config();
    String coupled = "takes maxima over positions (kernel %s, convention %s)";
    return !c.causal()
        ? Optional.of("is not causal")
        : c.exactHeads() > 0
            ? Optional.of("has exactHeads, whose keys grow with the length")
            : c.hasBand()
                ? Optional.of("has a window or sinks, whose keys segments do not carry")
                : c.convention().couplesPositions(c.kernel())
                    ? Optional.of(coupled.formatted(c.kernel(), c.convention()))
                    : Optional.empty();
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
