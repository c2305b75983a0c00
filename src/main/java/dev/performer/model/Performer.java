package dev.performer.model;

import dev.performer.PerformerException;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.nn.Dropout;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.MultiHeadAttention;
import dev.performer.nn.Parameters;
import dev.performer.nn.Precision;
import dev.performer.nn.Rotation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.IntStream;
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
  private final Embeddings embeddings;
  private final List<Block> blocks;
  private final LayerNorm finalNorm;
  private final TaskHeads heads;
  private final Decoder decoder;

  private Performer(PerformerConfig config, Parameters all, boolean draws, Precision precision) {
    this.config = config;
    Parameters stacks = all.in(precision);
    Blocks made = new Blocks(config, draws);
    embeddings = Embeddings.create(all, config, made);
    blocks = IntStream.range(0, config.layers()).mapToObj(i -> made.encoder(stacks, i)).toList();
    finalNorm = config.normalization().last() ? made.norm(all.in("final_norm")) : null;
    decoder =
        config.decoderLayers() == 0
            ? null
            : Decoder.create(stacks.in("decoder"), config, made, embeddings.tokens());
    heads = TaskHeads.create(all, config, made, embeddings.tokens());
  }

  /**
   * Creates the variables.
   *
   * @param tf where their first values are drawn
   * @param variables where they are registered
   * @param seed of the weights; projections have their own seeds in {@code config}
   */
  public static Performer build(Ops tf, Variables variables, PerformerConfig config, long seed) {
    var parameters = Parameters.create(tf, variables, seed);
    return new Performer(config, parameters, true, Precision.FLOAT32);
  }

  /** Over variables that exist: restored ones, or stand-ins in the graph of a function. */
  public static Performer over(PerformerConfig config, Function<String, Variable> variables) {
    return over(config, variables, Precision.FLOAT32);
  }

  /**
   * The same with dense layers of attention and MLPs in another precision. Embeddings, norms,
   * features, sums, division and softmax, residuals and logits are float32 in any.
   */
  public static Performer over(
      PerformerConfig config, Function<String, Variable> variables, Precision precision) {
    return new Performer(config, Parameters.existing(variables), false, precision);
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
    attentions(config)
        .forEach((name, of) -> drawing.draw(of).ifPresent(p -> projections.put(name, p)));
    return projections;
  }

  /** How each layer attends, by the name that the variable of its projection has. */
  private static Map<String, AttentionConfig> attentions(PerformerConfig config) {
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
    return "layer_" + layer + "/attention/projection";
  }

  public PerformerConfig config() {
    return config;
  }

  /** Self attention of a layer of the encoder, or of the only stack. */
  public MultiHeadAttention attention(int layer) {
    return blocks.get(layer).self();
  }

  /**
   * Computes. Sequences may be of any length up to {@code maxLength} (beyond it without a table of
   * positions), and batches of any size.
   *
   * @throws PerformerException if a decoder's tokens are missing, or given without a decoder
   */
  public Outputs apply(Ops tf, Inputs inputs, Dropout drop) {
    if ((inputs.decoderTokens() == null) != (decoder == null)) {
      throw new PerformerException(
          decoder == null
              ? "decoder tokens need task sequence-to-sequence"
              : "task sequence-to-sequence needs decoder tokens");
    }
    var read = Sequences.read(tf, inputs.tokens(), inputs.mask(), config, decoder == null);
    Operand<TFloat32> mask = read.mask();
    if (config.classToken() && mask != null) {
      mask = Sequences.inFront(tf, mask, tf.constant(1f));
    }
    Operand<TInt32> positions = Sequences.positions(tf, read.tokens(), config.classToken() ? 1 : 0);
    Encoded encoded = encode(tf, read.tokens(), inputs.tokenTypes(), positions, mask, drop, null);
    Operand<TFloat32> decoded =
        decoder == null ? null : decoder.apply(tf, inputs, encoded.hidden(), mask, drop);
    return outputs(tf, encoded, mask, decoded, drop);
  }

  /** Mixes values in place of a layer's own attention, as a recurrent form does. */
  @FunctionalInterface
  public interface Mixing {
    /**
     * @param layer its number
     * @param queries {@code [B, H, T, D]}, as they are compared, rotation included
     * @param keys {@code [B, H, T, D]}
     * @param values {@code [B, H, T, D]}
     * @return {@code [B, H, T, D]}
     */
    Operand<TFloat32> mix(
        int layer, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> values);
  }

  /**
   * Computes a piece of a sequence, without dropout, with attention of the caller's. Tokens are not
   * shifted: they are what the model reads at these positions.
   *
   * @param tokens {@code [B, T]}
   * @param positions of the tokens, {@code [T]} or {@code [B, T]}
   * @param mixing attention of every layer
   * @throws PerformerException if the model has a decoder or a class token
   */
  public Outputs applyPiece(
      Ops tf, Operand<TInt32> tokens, Operand<TInt32> positions, Mixing mixing) {
    if (decoder != null || config.classToken()) {
      throw new PerformerException(
          "a model with a decoder or a class token cannot run piece by piece");
    }
    Encoded encoded = encode(tf, tokens, null, positions, null, Dropout.none(), mixing);
    return outputs(tf, encoded, null, null, Dropout.none());
  }

  private record Encoded(
      Operand<TFloat32> embeddings, Operand<TFloat32> hidden, List<Outputs.Layer> layers) {}

  private Encoded encode(
      Ops tf,
      Operand<TInt32> tokens,
      Operand<TInt32> types,
      Operand<TInt32> positions,
      Operand<TFloat32> mask,
      Dropout drop,
      Mixing mixing) {
    Operand<TFloat32> embedded = embeddings.apply(tf, tokens, types, positions, drop);
    var context = new Block.Context(mask, rotation(tf, config, positions), null, null, drop);
    List<Outputs.Layer> layers = new ArrayList<>();
    Operand<TFloat32> x = embedded;
    for (int i = 0; i < blocks.size(); i++) {
      int number = i;
      Block.Mixing own =
          mixing == null ? null : p -> mixing.mix(number, p.queries(), p.keys(), p.values());
      layers.add(blocks.get(i).apply(tf, x, context, own));
      x = layers.get(i).hidden();
    }
    return new Encoded(embedded, finalNorm == null ? x : finalNorm.apply(tf, x), layers);
  }

  static Rotation rotation(Ops tf, PerformerConfig config, Operand<TInt32> positions) {
    boolean isRotary = config.positions() == Positions.ROTARY;
    return isRotary ? Rotation.at(tf, positions, config.headSize()) : null;
  }

  private Outputs outputs(
      Ops tf, Encoded encoded, Operand<TFloat32> mask, Operand<TFloat32> decoded, Dropout drop) {
    Operand<TFloat32> hidden = encoded.hidden();
    Operand<TFloat32> pooled = heads.pooled(tf, hidden, mask);
    return new Outputs(
        heads.tokenLogits(tf, decoded == null ? hidden : decoded),
        heads.classLogits(tf, pooled, drop),
        Sequences.kept(tf, hidden, config.maskSequence() ? mask : null),
        pooled,
        encoded.embeddings(),
        List.copyOf(encoded.layers()),
        mask);
  }

  /**
   * Ops that draw new projections, for layers whose attention has {@code redrawEvery} above 0, by
   * this number of steps between draws. Directions are as configured, whatever code drew the first
   * ones.
   *
   * @param variables this model's, by name
   * @param seed {@code [2]}
   */
  public Map<Integer, List<Op>> redraws(
      Ops tf, Function<String, Variable> variables, Operand<TInt32> seed) {
    Map<Integer, List<Op>> ops = new TreeMap<>();
    int[] drawn = {0};
    attentions(config)
        .forEach(
            (name, attention) -> {
              if (attention instanceof AttentionConfig.Favor favor
                  && favor.config().redrawEvery() > 0) {
                // A projection draws from two neighbouring seeds: stay two apart.
                var own = tf.math.add(seed, tf.constant(new int[] {0, 2 * drawn[0]++}));
                var fresh = favor.config().projection(config.headSize()).redraw(tf, own);
                ops.computeIfAbsent(favor.config().redrawEvery(), period -> new ArrayList<>())
                    .add(Variables.assign(tf, variables.apply(name), fresh));
              }
            });
    return ops;
  }
}
