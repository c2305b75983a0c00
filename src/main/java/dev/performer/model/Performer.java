package dev.performer.model;

import static dev.performer.PerformerException.require;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.Calibration;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.PerformerConfig.Positions;
import dev.performer.model.Stack.Blocks;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dense.Rows;
import dev.performer.nn.Dropout;
import dev.performer.nn.HeadCalibration;
import dev.performer.nn.MultiHeadAttention;
import dev.performer.nn.Parameters;
import dev.performer.nn.Sinusoids.Rotation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A Transformer: variables and how they are used. Building a graph from it changes nothing in it.
 *
 * <p>Variables are named {@code embeddings/token}, {@code layer_0/attention/query/kernel} and so
 * on; {@link #shapes} lists them all. Projections are variables that no optimizer changes.
 */
public final class Performer {
  private final PerformerConfig config;
  private final Stack encoder;
  private final Stack decoder;
  private final TaskHeads heads;

  private Performer(PerformerConfig config, Parameters all, boolean draws, Precision precision) {
    this.config = config;
    Parameters stacks = all.in(precision);
    Blocks made = new Blocks(config, draws);
    encoder = Stack.of(stacks, config, made, null);
    boolean isPair = config.decoderLayers() > 0;
    decoder = isPair ? Stack.of(stacks.in("decoder"), config, made, encoder) : null;
    heads = TaskHeads.create(all, config, made, encoder.embeddings().tokens());
  }

  /** Creates the variables; projections have seeds of their own in {@code config}. */
  public static Performer build(Ops tf, Variables variables, PerformerConfig config, long seed) {
    var parameters = Parameters.create(tf, variables, seed);
    return new Performer(config, parameters, true, Precision.FLOAT32);
  }

  /** Over variables that exist: restored ones, or stand-ins in the graph of a function. */
  public static Performer over(PerformerConfig config, Function<String, Variable> variables) {
    return new Performer(config, Parameters.existing(variables), false, Precision.FLOAT32);
  }

  /**
   * The same to be learned, with dense layers of attention and MLPs in a precision. Embeddings,
   * norms, features, sums, division and softmax, residuals and logits are float32 in any.
   */
  public static Performer learned(
      PerformerConfig config, Function<String, Variable> variables, Precision precision) {
    return new Performer(config, Parameters.learned(variables), false, precision);
  }

  /**
   * The same over constants, for few rows at a time or many, which serves one model only: products
   * with one input become one.
   */
  public static Performer constant(
      PerformerConfig config,
      Function<String, Variable> constants,
      Precision precision,
      Rows rows) {
    return new Performer(config, Parameters.constants(constants, rows), false, precision);
  }

  /** Names and shapes of all variables, projections included, in the order of their creation. */
  public static Map<String, Shape> shapes(PerformerConfig config) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    Parameters.Source source =
        (name, shape, trainable, initializer) -> {
          shapes.put(name, shape);
          return new Variable(name, null, TFloat32.class, shape, trainable, name);
        };
    new Performer(config, Parameters.of(source), false, Precision.FLOAT32);
    return shapes;
  }

  /** The projections that a configuration draws, by the names of their variables. */
  public static Map<String, ProjectionMatrix> projections(PerformerConfig config) {
    Map<String, ProjectionMatrix> projections = new LinkedHashMap<>();
    Blocks drawing = new Blocks(config, true);
    var attentions = attentions(config);
    attentions.forEach((name, of) -> drawing.draw(of).ifPresent(p -> projections.put(name, p)));
    return projections;
  }

  /**
   * Whether a variable is drawn at random, and no optimizer changes it but where that is wanted.
   */
  public static boolean isDrawn(String name) {
    return name.endsWith("/projection") || name.endsWith("/" + HeadCalibration.DIRECTIONS);
  }

  /** Whether an optimizer may change a variable. */
  public static boolean isTrainable(String name) {
    return !isDrawn(name) && !HeadCalibration.isPart(name);
  }

  /** How each layer attends, by the name that the variable of its projection has. */
  static Map<String, AttentionConfig> attentions(PerformerConfig config) {
    Map<String, AttentionConfig> attentions = new LinkedHashMap<>();
    for (int i = 0; i < config.layers(); i++) {
      attentions.put(projectionOf(i), config.attentionOf(i));
    }
    for (int i = 0; i < config.decoderLayers(); i++) {
      String in = "decoder/layer_" + i;
      attentions.put(in + "/self_attention/projection", config.decoderAttentionOf(i));
      attentions.put(in + "/cross_attention/projection", config.crossAttentionOf(i));
    }
    return attentions;
  }

  /** The variable of a projection of the encoder, or of the only stack. */
  static String projectionOf(int layer) {
    return attentionOf(layer) + "projection";
  }

  /** What names of variables of a layer's attention begin with. */
  public static String attentionOf(int layer) {
    return "layer_" + layer + "/attention/";
  }

  public PerformerConfig config() {
    return config;
  }

  /** Self attention of a layer of the encoder, or of the only stack. */
  public MultiHeadAttention attention(int layer) {
    return encoder.blocks().get(layer).self();
  }

  /**
   * Computes, sequences of any length up to {@code maxLength} (beyond it without a table of
   * positions), and batches of any size.
   *
   * @throws dev.performer.PerformerException if only one of decoder and decoder tokens is there
   */
  public Outputs apply(Ops tf, Inputs inputs, Dropout drop) {
    return apply(tf, inputs, drop, null);
  }

  /** The same; of each block only its input is kept, where {@code parts} is not null. */
  public Outputs apply(Ops tf, Inputs inputs, Dropout drop, Recomputation parts) {
    return apply(tf, inputs, drop, parts, null);
  }

  /** The same without dropout, where {@code mixing} may take the place of a layer's own. */
  public Outputs apply(Ops tf, Inputs inputs, Mixing mixing) {
    return apply(tf, inputs, Dropout.none(), null, mixing);
  }

  private Outputs apply(Ops tf, Inputs inputs, Dropout drop, Recomputation parts, Mixing mixing) {
    boolean isGiven = inputs.decoderTokens() != null;
    require(!isGiven || decoder != null, "decoder tokens need task sequence-to-sequence");
    require(isGiven || decoder == null, "task sequence-to-sequence needs decoder tokens");
    var read = Sequences.read(tf, inputs.tokens(), inputs.mask(), config, decoder == null);
    Operand<TFloat32> mask = read.mask();
    if (config.classToken() && mask != null) {
      mask = Sequences.inFront(tf, mask, tf.constant(1f));
    }
    Operand<TInt32> positions = positions(tf, read.tokens(), config.classToken() ? 1 : 0);
    var context = new Stack.Context(mask, rotation(tf, positions), null, null, drop, mixing, parts);
    var encoded = encoder.apply(tf, read.tokens(), inputs.tokenTypes(), positions, context);
    Operand<TFloat32> decoded =
        decoder == null ? null : decode(tf, inputs, encoded.hidden(), mask, drop, parts);
    return outputs(tf, encoded, mask, decoded, drop);
  }

  private Operand<TFloat32> decode(
      Ops tf,
      Inputs inputs,
      Operand<TFloat32> encoded,
      Operand<TFloat32> seen,
      Dropout drop,
      Recomputation parts) {
    var read = Sequences.read(tf, inputs.decoderTokens(), inputs.decoderMask(), config, true);
    var positions = positions(tf, read.tokens(), 0);
    var rotation = rotation(tf, positions);
    var context = new Stack.Context(read.mask(), rotation, encoded, seen, drop, null, parts);
    return decoder.apply(tf, read.tokens(), null, positions, context).hidden();
  }

  /** {@code [L]}; {@code [B, L]} where they depend on the tokens. */
  private Operand<TInt32> positions(Ops tf, Operand<TInt32> tokens, int more) {
    return config.positions() == Positions.LEARNED_BEHIND_PADDING
        ? Sequences.positionsBehindPadding(tf, tokens, config.padId())
        : Sequences.positions(tf, tokens, more);
  }

  /**
   * Mixes values in place of a layer's own attention, as a recurrent form does, or gives null where
   * it does not: all are {@code [B, H, T, D]}, queries and keys as they are compared, rotation
   * included.
   */
  @FunctionalInterface
  public interface Mixing {
    Operand<TFloat32> mix(int layer, Projected projected);
  }

  /**
   * Computes a piece of a sequence, {@code [B, T]} at positions {@code [T]} or {@code [B, T]},
   * without dropout, with attention of the caller's. Tokens are what the model reads there: not
   * shifted.
   *
   * @throws dev.performer.PerformerException if the model has a decoder, a class token or
   *     embeddings that depend on the whole sequence
   */
  public Outputs applyPiece(
      Ops tf, Operand<TInt32> tokens, Operand<TInt32> positions, Mixing mixing) {
    return applyPiece(tf, tokens, positions, mixing, Dropout.none());
  }

  /** The same with dropout. */
  Outputs applyPiece(
      Ops tf, Operand<TInt32> tokens, Operand<TInt32> positions, Mixing mixing, Dropout drop) {
    boolean isWhole = decoder != null || config.classToken() || config.maskRescaling() != null;
    String whole =
        "a model with a decoder, a class token or maskRescaling cannot run piece by piece";
    require(!isWhole, whole);
    var context = new Stack.Context(null, rotation(tf, positions), null, null, drop, mixing, null);
    int first = config.firstPosition();
    var at = first == 0 ? positions : tf.math.add(positions, tf.constant(first));
    return outputs(tf, encoder.apply(tf, tokens, null, at, context), null, null, drop);
  }

  /** Logits of hidden states, {@code [..., E]} to {@code [..., V]}; null without such a head. */
  public Operand<TFloat32> tokenLogits(Ops tf, Operand<TFloat32> hidden) {
    return heads.tokenLogits(tf, hidden);
  }

  private Rotation rotation(Ops tf, Operand<TInt32> positions) {
    PerformerConfig c = config;
    return c.positions().isRotary()
        ? Rotation.at(tf, positions, c.headSize(), c.rotaryScaling(), c.rotaryFrequencies())
        : null;
  }

  private Outputs outputs(
      Ops tf, Stack.Pass encoded, Operand<TFloat32> mask, Operand<TFloat32> decoded, Dropout drop) {
    Operand<TFloat32> hidden = encoded.hidden();
    Operand<TFloat32> pooled = heads.pooled(tf, hidden, mask);
    Operand<TFloat32> tokens = heads.tokenLogits(tf, decoded == null ? hidden : decoded);
    Operand<TFloat32> classes = heads.classLogits(tf, pooled, drop);
    var kept = Sequences.kept(tf, hidden, config.maskSequence() ? mask : null);
    var layers = encoded.layers();
    return new Outputs(tokens, classes, kept, pooled, encoded.embedded(), layers, mask);
  }

  /**
   * Ops that draw new projections from a seed {@code [2]}, by the number of steps between draws,
   * for layers whose {@code redrawEvery} is above 0. Directions are as configured, whatever drew
   * the first.
   */
  public Map<Integer, List<Op>> redraws(
      Ops tf, Function<String, Variable> variables, Operand<TInt32> seed) {
    Map<Integer, List<Op>> ops = new TreeMap<>();
    int drawn = 0;
    for (var entry : attentions(config).entrySet()) {
      if (entry.getValue() instanceof AttentionConfig.Favor favor
          && favor.config().redrawEvery() > 0) {
        // A projection draws from two neighbouring seeds: stay two apart.
        var own = tf.math.add(seed, tf.array(0, 2 * drawn++));
        var fresh = favor.config().projection(config.headSize()).redraw(tf, own);
        var due = ops.computeIfAbsent(favor.config().redrawEvery(), p -> new ArrayList<>());
        due.add(Variables.assign(tf, variables.apply(entry.getKey()), fresh));
        if (favor.config().meantKernel().isCalibrated()) {
          Function<String, Variable> of = HeadCalibration.beside(entry.getKey(), variables);
          Operand<TFloat32> amounts = of.apply(HeadCalibration.AMOUNTS).read(tf);
          Operand<TFloat32> basis = of.apply(HeadCalibration.BASIS).read(tf);
          var turned = Calibration.directions(tf, fresh, amounts, basis);
          due.add(Variables.assign(tf, of.apply(HeadCalibration.DIRECTIONS), turned));
        }
      }
    }
    return ops;
  }

  /** What a model reads. */
  public record Inputs(
      Operand<TInt32> tokens, // [B, L]
      Operand<TFloat32> mask, // [B, L], 1 = token; null where padId decides, or for no padding
      Operand<TInt32> tokenTypes, // [B, L]; null for zeros
      Operand<TInt32> decoderTokens, // [B, T]; null unless there is a decoder
      Operand<TFloat32> decoderMask) { // [B, T]; null as mask
    /** Tokens, with padding known by {@code padId} only. */
    public static Inputs of(Operand<TInt32> tokens) {
      return new Inputs(tokens, null, null, null, null);
    }

    /** Tokens and their mask, which may be null. */
    public static Inputs of(Operand<TInt32> tokens, Operand<TFloat32> mask) {
      return new Inputs(tokens, mask, null, null, null);
    }

    /** With token types. */
    public Inputs withTokenTypes(Operand<TInt32> types) {
      return new Inputs(tokens, mask, types, decoderTokens, decoderMask);
    }

    /** With the decoder's tokens and their mask, which may be null. */
    public Inputs withDecoder(Operand<TInt32> ofDecoder, Operand<TFloat32> maskOfDecoder) {
      return new Inputs(tokens, mask, tokenTypes, ofDecoder, maskOfDecoder);
    }
  }

  /**
   * What a model computes, of the encoder if there is a decoder, whose tokens the logits then are.
   * Everything is an operand of one graph: what is not fetched costs nothing.
   */
  public record Outputs(
      Operand<TFloat32> logits, // of tokens, [B, L, V]; null without a language-model head
      Operand<TFloat32> classLogits, // [B, classes], or numbers; null without a classifier
      Operand<TFloat32> sequence, // last hidden states, [B, L, E]; with maskSequence 0 at padding
      Operand<TFloat32> pooled, // [B, E]; after the pooler if there is one
      Operand<TFloat32> embeddings, // what enters the first block, [B, L, E]
      List<Layer> layers,
      Operand<TFloat32> mask) { // [B, L]; changed along with the tokens; null where all are tokens
    /**
     * What one block computes: {@code [B, L, E]}, also behind self attention's output layer, and
     * what goes into self attention, {@code [B, H, L, D]}, queries and keys as they are compared,
     * and logarithms of gates, {@code [B, H, L, 1]}, or null.
     */
    public record Layer(
        Operand<TFloat32> hidden,
        Operand<TFloat32> attentionOutput,
        Operand<TFloat32> queries,
        Operand<TFloat32> keys,
        Operand<TFloat32> values,
        Operand<TFloat32> logGates) {
      static Layer of(List<Operand<TFloat32>> all) {
        var gates = all.size() > 5 ? all.get(5) : null;
        return new Layer(all.get(0), all.get(1), all.get(2), all.get(3), all.get(4), gates);
      }

      List<Operand<TFloat32>> all() {
        return Stream.of(hidden, attentionOutput, queries, keys, values, logGates)
            .filter(Objects::nonNull)
            .toList();
      }
    }
  }
}
