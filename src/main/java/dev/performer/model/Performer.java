package dev.performer.model;

import dev.performer.PerformerException;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.nn.Dropout;
import dev.performer.nn.Initializer;
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

  private Performer(PerformerConfig config, Parameters parameters, boolean drawsProjections) {
    this(config, parameters, drawsProjections, Precision.FLOAT32);
  }

  private Performer(
      PerformerConfig config,
      Parameters parameters,
      boolean drawsProjections,
      Precision precision) {
    this.config = config;
    Parameters stacks = parameters.in(precision);
    Blocks made = new Blocks(config, drawsProjections);
    embeddings = Embeddings.create(parameters, config, made);
    blocks = IntStream.range(0, config.layers()).mapToObj(i -> made.encoder(stacks, i)).toList();
    finalNorm = config.normalization().last() ? made.norm(parameters.in("final_norm")) : null;
    decoder =
        config.decoderLayers() == 0
            ? null
            : Decoder.create(stacks.in("decoder"), config, made, embeddings.tokens());
    heads = TaskHeads.create(parameters, config, made, embeddings.tokens());
  }

  /**
   * Creates the variables.
   *
   * @param tf where their first values are drawn
   * @param variables where they are registered
   * @param seed of the weights; projections have their own seeds in {@code config}
   */
  public static Performer build(Ops tf, Variables variables, PerformerConfig config, long seed) {
    return new Performer(config, Parameters.create(tf, variables, seed), true);
  }

  /**
   * Over variables that exist: restored ones, or stand-ins in the graph of a function.
   *
   * @param variables finds one by its name; throws if there is none
   */
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
    new Performer(
        config,
        Parameters.of(
            (name, shape, trainable, initializer) -> {
              shapes.put(name, shape);
              return new Variable(name, null, TFloat32.class, shape, trainable, name);
            }),
        false);
    return shapes;
  }

  /** The projections that a configuration draws, by the names of their variables. */
  public static Map<String, ProjectionMatrix> projections(PerformerConfig config) {
    Map<String, ProjectionMatrix> projections = new LinkedHashMap<>();
    new Performer(
        config,
        Parameters.of(
            (name, shape, trainable, initializer) -> {
              if (!trainable && initializer instanceof Initializer.Given given) {
                int rows = (int) shape.get(0);
                int columns = (int) shape.get(1);
                projections.put(name, new ProjectionMatrix(given.values(), rows, columns));
              }
              return new Variable(name, null, TFloat32.class, shape, trainable, name);
            }),
        true);
    return projections;
  }

  /** The configuration. */
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
  public Outputs apply(Ops tf, Inputs inputs, Mode mode) {
    if ((inputs.decoderTokens() == null) != (decoder == null)) {
      throw new PerformerException(
          decoder == null
              ? "decoder tokens need task sequence-to-sequence"
              : "task sequence-to-sequence needs decoder tokens");
    }
    Dropout drop =
        mode instanceof Mode.Training training ? Dropout.of(training.seed()) : Dropout.none();
    Operand<TInt32> tokens = inputs.tokens();
    Operand<TFloat32> mask = inputs.mask();
    if (mask == null) {
      mask = Sequences.maskOf(tf, tokens, config.padId());
    }
    if (decoder == null && config.shiftBos() != null) {
      tokens = Sequences.shifted(tf, tokens, tf.constant((int) config.shiftBos()));
      mask = mask == null ? null : Sequences.shifted(tf, mask, tf.constant(1f));
    }
    if (config.classToken() && mask != null) {
      mask = Sequences.inFront(tf, mask, tf.constant(1f));
    }
    Operand<TInt32> positions = Sequences.positions(tf, tokens, config.classToken() ? 1 : 0);
    Encoded encoded = encode(tf, tokens, inputs.tokenTypes(), positions, mask, drop, null);
    Decoder.Decoded decoded =
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
    Rotation rotation = rotation(tf, config, positions);
    Block.Context context = new Block.Context(mask, rotation, null, null, drop);
    List<Outputs.Layer> layers = new ArrayList<>();
    Operand<TFloat32> x = embedded;
    for (int i = 0; i < blocks.size(); i++) {
      int number = i;
      Block.Mixing own =
          mixing == null ? null : p -> mixing.mix(number, p.queries(), p.keys(), p.values());
      Outputs.Layer layer = blocks.get(i).apply(tf, x, context, own);
      layers.add(layer);
      x = layer.hidden();
    }
    Operand<TFloat32> hidden = finalNorm == null ? x : finalNorm.apply(tf, x);
    return new Encoded(embedded, hidden, List.copyOf(layers));
  }

  static Rotation rotation(Ops tf, PerformerConfig config, Operand<TInt32> positions) {
    return config.positions() == Positions.ROTARY
        ? Rotation.at(tf, positions, config.headSize())
        : null;
  }

  private Outputs outputs(
      Ops tf, Encoded encoded, Operand<TFloat32> mask, Decoder.Decoded decoded, Dropout drop) {
    Operand<TFloat32> hidden = encoded.hidden();
    Operand<TFloat32> pooled = heads.pooled(tf, hidden, mask);
    Operand<TFloat32> sequence =
        mask != null && config.maskSequence()
            ? tf.math.mul(hidden, tf.expandDims(mask, tf.constant(2)))
            : hidden;
    return new Outputs(
        heads.tokenLogits(tf, decoded == null ? hidden : decoded.hidden()),
        heads.classLogits(tf, pooled, drop),
        sequence,
        pooled,
        encoded.embeddings(),
        encoded.layers(),
        mask,
        decoded == null ? null : decoded.hidden(),
        decoded == null ? List.of() : decoded.layers());
  }

  /**
   * The weights by which a layer's self attention mixes values, {@code [B, H, L, L]}: quadratic in
   * the length. FAVOR+ has {@code φ(q)·φ(k)} over its sum.
   *
   * @param layer its number
   * @param outputs of {@link #apply}
   * @throws PerformerException for kinds of Model Garden's attention that have no such matrix
   */
  public Operand<TFloat32> attentionMap(Ops tf, int layer, Outputs outputs) {
    Outputs.Layer of = outputs.layers().get(layer);
    return blocks.get(layer).self().mixer().weights(tf, of.queries(), of.keys(), outputs.mask());
  }

  /**
   * Ops that draw new projections, for layers whose attention has {@code redrawEvery} above 0; the
   * caller runs them every so many steps. Directions are as configured, whatever code drew the
   * first ones.
   *
   * @param variables this model's, by name
   * @param seed {@code [2]}
   */
  public List<Op> redraw(Ops tf, Function<String, Variable> variables, Operand<TInt32> seed) {
    return redraws(tf, variables, seed).values().stream().flatMap(List::stream).toList();
  }

  /** The ops of {@link #redraw} by the number of steps between draws. */
  public Map<Integer, List<Op>> redraws(
      Ops tf, Function<String, Variable> variables, Operand<TInt32> seed) {
    Map<String, AttentionConfig> attentions = new LinkedHashMap<>();
    for (int i = 0; i < config.layers(); i++) {
      attentions.put("layer_" + i + "/attention/", config.attentionOf(i));
    }
    for (int i = 0; i < config.decoderLayers(); i++) {
      String in = "decoder/layer_" + i;
      attentions.put(in + "/self_attention/", config.decoderAttentionOf(i));
      attentions.put(in + "/cross_attention/", config.crossAttentionOf(i));
    }
    Map<Integer, List<Op>> ops = new TreeMap<>();
    int[] drawn = {0};
    attentions.forEach(
        (name, attention) -> {
          if (attention instanceof AttentionConfig.Favor favor
              && favor.config().redrawEvery() > 0) {
            // A projection draws from two neighbouring seeds: stay two apart.
            Operand<TInt32> own = tf.math.add(seed, tf.constant(new int[] {0, 2 * drawn[0]++}));
            Operand<TFloat32> fresh = favor.config().projection(config.headSize()).redraw(tf, own);
            ops.computeIfAbsent(favor.config().redrawEvery(), period -> new ArrayList<>())
                .add(Variables.assign(tf, variables.apply(name + Blocks.PROJECTION), fresh));
          }
        });
    return ops;
  }
}
