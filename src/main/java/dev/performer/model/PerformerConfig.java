package dev.performer.model;

import static com.fasterxml.jackson.annotation.JsonFormat.Feature.ACCEPT_SINGLE_VALUE_AS_ARRAY;
import static com.fasterxml.jackson.annotation.JsonFormat.Feature.WRITE_SINGLE_ELEM_ARRAYS_UNWRAPPED;
import static com.fasterxml.jackson.annotation.JsonInclude.Include.NON_NULL;
import static dev.performer.PerformerException.require;
import static dev.performer.model.ConfigChecks.atLeast;
import static dev.performer.model.ConfigChecks.atMost;
import static dev.performer.model.ConfigChecks.checked;
import static dev.performer.model.ConfigChecks.matrix;
import static dev.performer.model.ConfigChecks.present;
import static dev.performer.model.ConfigChecks.token;

import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.data.Overrides;
import dev.performer.data.StrictJson;
import dev.performer.nn.Activation;
import dev.performer.nn.LayerNorm.Formula;
import dev.performer.nn.RotaryScaling;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.stream.Stream;

/**
 * A Transformer, all of it but its weights. Written as JSON or YAML with these keys; what is absent
 * has the value of the preset named by the key {@code preset}, or of {@code performer}.
 *
 * @param task what it is for, which decides its heads
 * @param vocabularySize V
 * @param tokenTypes rows of the table of token types (segments); 0 for none
 * @param maxLength rows of the table of positions, the class token not counted; the longest
 *     sequence
 * @param hiddenSize E
 * @param layers blocks of the encoder (or of the only stack)
 * @param decoderLayers blocks of the decoder; only for {@link Task#SEQUENCE_TO_SEQUENCE}
 * @param heads H
 * @param headSize D; 0 for hiddenSize / heads
 * @param mlpSize F; 0 for 4 × hiddenSize
 * @param activation in the MLP
 * @param normalization where layer norms stand
 * @param attentionBias whether the dense layers around attention have biases
 * @param positions how a token knows its position
 * @param rotaryScaling of rotary positions, for longer sequences; null for none
 * @param rotaryFrequencies radians by which each pair of a head turns from a position to the next,
 *     D/2 numbers; null for 10000^(−2i/D)
 * @param maskRescaling of embeddings, by how many tokens are masked; null for none
 * @param shiftBos token that the model itself puts in front while it drops the last one, so that
 *     logits at l come from tokens before l, as Google's FlaxLM does; null for no shift. In
 *     sequence to sequence it is the decoder's tokens that are shifted
 * @param padId token that is padding where no mask is given; null for none
 * @param classToken whether a trained vector is put in front of the embeddings
 * @param maskSequence whether the {@code sequence} output is 0 at padding
 * @param tiedOutput whether logits use the transposed token table
 * @param headTransform whether a dense layer, the activation and a norm stand before the logits
 *     (BERT)
 * @param headActivation in {@code headTransform}; null for {@code activation}
 * @param headEpsilon of the norm of {@code headTransform}; null for that of all norms
 * @param pooler whether a dense layer with tanh follows the pooling, as BERT's on the first token
 * @param pooling how a sequence becomes a vector for the pooler and the classifier
 * @param maskPooling whether pooling leaves padding out
 * @param classifierSizes widths of hidden ReLU layers of the classifier
 * @param classes outputs of the classifier; 0 for no classifier
 * @param dropout what training drops
 * @param attention one entry for all layers, or one per layer
 * @param decoderAttention self attention of the decoder; null for the encoder's, made causal
 * @param crossAttention of the decoder to the encoder; null for the encoder's, not causal
 */
public record PerformerConfig(
    Task task,
    int vocabularySize,
    int tokenTypes,
    int maxLength,
    int hiddenSize,
    int layers,
    int decoderLayers,
    int heads,
    int headSize,
    int mlpSize,
    Activation activation,
    Normalization normalization,
    boolean attentionBias,
    Positions positions,
    @JsonInclude(NON_NULL) RotaryScaling rotaryScaling,
    @JsonInclude(NON_NULL) List<Double> rotaryFrequencies,
    @JsonInclude(NON_NULL) MaskRescaling maskRescaling,
    Integer shiftBos,
    Integer padId,
    boolean classToken,
    boolean maskSequence,
    boolean tiedOutput,
    boolean headTransform,
    Activation headActivation,
    Double headEpsilon,
    boolean pooler,
    Pooling pooling,
    boolean maskPooling,
    List<Integer> classifierSizes,
    int classes,
    DropoutRates dropout,
    @JsonFormat(with = {ACCEPT_SINGLE_VALUE_AS_ARRAY, WRITE_SINGLE_ELEM_ARRAYS_UNWRAPPED})
        List<AttentionConfig> attention,
    AttentionConfig decoderAttention,
    AttentionConfig crossAttention) {
  private static final int MOST_LAYERS = 1000;
  private static final int MOST_WIDTH = 1 << 20;

  /** Fills in what follows from other keys, and checks that the parts go together. */
  public PerformerConfig {
    classifierSizes = classifierSizes == null ? List.of() : List.copyOf(classifierSizes);
    attention = attention == null ? List.of() : List.copyOf(attention);
    dropout = dropout == null ? DropoutRates.NONE : dropout;
    present("task", task);
    present("activation", activation);
    present("normalization", normalization);
    present("positions", positions);
    present("pooling", pooling);
    atLeast(1, "vocabularySize", vocabularySize);
    atLeast(1, "maxLength", maxLength);
    atLeast(1, "hiddenSize", hiddenSize);
    atLeast(1, "heads", heads);
    atLeast(1, "layers", layers);
    atMost(MOST_LAYERS, "layers", layers);
    atMost(MOST_LAYERS, "decoderLayers", decoderLayers);
    atMost(MOST_WIDTH, "hiddenSize", hiddenSize);
    int rest = headSize == 0 ? hiddenSize % heads : 0;
    require(rest == 0, "hiddenSize %d is no multiple of heads %d; set headSize", hiddenSize, heads);
    headSize = headSize == 0 ? hiddenSize / heads : headSize;
    mlpSize = mlpSize == 0 ? 4 * hiddenSize : mlpSize;
    atLeast(1, "headSize", headSize);
    atLeast(1, "mlpSize", mlpSize);
    matrix("vocabularySize", vocabularySize, "hiddenSize", hiddenSize);
    matrix("hiddenSize", hiddenSize, "mlpSize", mlpSize);
    matrix("heads × headSize", (long) heads * headSize, "hiddenSize", hiddenSize);
    if (positions.isTable() || pooling == Pooling.FLATTEN) {
      matrix("maxLength", 1L + maxLength + (padId == null ? 0 : padId), "hiddenSize", hiddenSize);
    }
    matrix("tokenTypes", tokenTypes, "hiddenSize", hiddenSize);
    matrix("classes", classes, "hiddenSize", hiddenSize);
    atLeast(0, "tokenTypes", tokenTypes);
    atLeast(0, "classes", classes);
    token("padId", padId, vocabularySize);
    token("shiftBos", shiftBos, vocabularySize);
    classes = task.hasNumbers() && classes == 0 ? 1 : classes;
    ConfigChecks.classifier(task, classes, classifierSizes);
    ConfigChecks.decoder(task, decoderLayers, decoderAttention == null && crossAttention == null);
    rotaryFrequencies = rotaryFrequencies == null ? null : List.copyOf(rotaryFrequencies);
    ConfigChecks.rotary(positions.isRotary(), headSize, rotaryScaling, rotaryFrequencies);
    ConfigChecks.rescaling(maskRescaling, task, classToken, vocabularySize);
    ConfigChecks.classToken(task, classToken);
    ConfigChecks.padding(positions, padId, classToken);
    require(headEpsilon == null || headEpsilon >= 0, "headEpsilon must be 0 or more");
    ConfigChecks.entries(attention, layers, heads, headSize, maxLength);
    checked("decoderAttention", decoderAttention, heads, headSize, maxLength);
    checked("crossAttention", crossAttention, heads, headSize, maxLength);
    if (task.hasDecoder()) {
      ConfigChecks.decoderAttention(attention.get(0), decoderAttention, crossAttention);
    }
  }

  /**
   * A preset: {@code protein-lm} (Google's Flax protein_lm), {@code kernel-encoder} (Model Garden's
   * encoder of type kernel), {@code lra-encoder} (Long Range Arena's Performer, as for text),
   * {@code bert}, or {@code performer}, our own defaults. @throws PerformerException for others
   */
  public static PerformerConfig preset(String name) {
    return of(Presets.tree(name), "preset " + name);
  }

  /** The names of {@link #preset}. */
  public static List<String> presets() {
    return Presets.NAMES;
  }

  /**
   * From JSON or YAML, read as a tree. Its keys replace those of the preset that its key {@code
   * preset} names, {@code performer} if there is none.
   *
   * @param source how errors name where the tree came from
   * @throws PerformerException that names source and key
   */
  public static PerformerConfig of(JsonNode tree, String source) {
    return StrictJson.bind(Presets.merged(tree, source), PerformerConfig.class, source);
  }

  /** From a JSON file, or a YAML file by its name. @throws PerformerException as {@link #of} */
  public static PerformerConfig read(Path file) {
    return of(StrictJson.readTree(file), file.toString());
  }

  /** This configuration with some keys replaced, as {@link #of} replaces a preset's. */
  public PerformerConfig with(JsonNode keys, String source) {
    return StrictJson.bind(Presets.merged(toJson(), keys, source), PerformerConfig.class, source);
  }

  /** The same of settings such as {@code "layers=2"} and {@code "attention={kernel: relu}"}. */
  public PerformerConfig with(String... settings) {
    var empty = JsonNodeFactory.instance.objectNode();
    return with(new Overrides(List.of(settings)).over(empty), "model options");
  }

  /** All keys; {@link #of} gives this configuration back. */
  public JsonNode toJson() {
    return StrictJson.tree(this);
  }

  /** How layer {@code i} attends, with its own seed. */
  public AttentionConfig attentionOf(int layer) {
    return attention.size() == 1 ? attention.get(0).ofLayer(layer) : attention.get(layer);
  }

  /** Refuses a layer that sees later tokens, which task causal-lm must not. */
  public void requireCausal() {
    for (int i = 0; i < layers; i++) {
      boolean isCausal = attentionOf(i).isCausal();
      require(isCausal, "task causal-lm needs causal attention, but that of layer %d is not", i);
    }
  }

  /** Refuses projections that the code whose draws are followed does not make. */
  public void requireDrawable() {
    for (AttentionConfig attention : Performer.attentions(this).values()) {
      if (attention instanceof AttentionConfig.Favor favor && favor.config().hasProjection()) {
        favor.config().draw().require(favor.config().directions(), favor.config().lengths());
      }
    }
  }

  /** How self attention of decoder layer {@code i} works; its seeds follow the encoder's. */
  public AttentionConfig decoderAttentionOf(int layer) {
    var own = decoderAttention != null ? decoderAttention : attention.get(0).withCausality(true);
    return own.ofLayer(layers + layer);
  }

  /** How decoder layer {@code i} attends to the encoder; its seeds follow the self attentions'. */
  public AttentionConfig crossAttentionOf(int layer) {
    var own = crossAttention != null ? crossAttention : attention.get(0).withCausality(false);
    // Queries and keys have masks of their own here.
    return own instanceof AttentionConfig.Exact exact
        ? new AttentionConfig.Exact(exact.causal())
        : own.ofLayer(layers + decoderLayers + layer);
  }

  /** The length beyond which the model has no positions; empty if there is none. */
  public OptionalInt longestSequence() {
    return hasLastPosition() || pooling == Pooling.FLATTEN
        ? OptionalInt.of(maxLength)
        : OptionalInt.empty();
  }

  /** Whether weights are of single positions, so that there are none beyond maxLength. */
  public boolean hasLastPosition() {
    return positions.isTable() || mixesPositions();
  }

  /** Whether a layer has Linformer's matrices. */
  boolean mixesPositions() {
    var all = Stream.concat(attention.stream(), Stream.of(decoderAttention, crossAttention));
    return all.filter(Objects::nonNull).anyMatch(a -> a instanceof AttentionConfig.Linformer);
  }

  /** Positions of the longest sequence, the class token's included. */
  int longest() {
    return maxLength + (classToken ? 1 : 0);
  }

  /** Rows that a position needs, the class token's included. */
  int positionRows() {
    return firstPosition() + longest();
  }

  /** The row of the first token in a table of positions. */
  int firstPosition() {
    return positions == Positions.LEARNED_BEHIND_PADDING ? padId + 1 : 0;
  }

  /** Whether a classifier is built. */
  @JsonIgnore
  public boolean hasClassifier() {
    return classes > 0;
  }

  /** How a model knows where a token stands. */
  public enum Positions {
    @JsonProperty("none")
    NONE,
    /** A trained table, added to the embeddings. */
    @JsonProperty("learned")
    LEARNED,
    /** A trained table that begins as {@link #SINUSOIDAL}. */
    @JsonProperty("learned-from-sinusoids")
    LEARNED_FROM_SINUSOIDS,
    /** A trained table, padding at row padId, other tokens counted from the next on: RoBERTa. */
    @JsonProperty("learned-behind-padding")
    LEARNED_BEHIND_PADDING,
    /** Added constants: see {@link dev.performer.nn.Sinusoids#interleaved}; Google's JAX code. */
    @JsonProperty("sinusoidal")
    SINUSOIDAL,
    /** Rotation of queries and keys by position (arXiv 2104.09864), halves of a head paired. */
    @JsonProperty("rotary")
    ROTARY,
    /** The same in layers that see a window only; the others know positions by what these found. */
    @JsonProperty("rotary-windows")
    ROTARY_WINDOWS;

    boolean isRotary() {
      return this == ROTARY || this == ROTARY_WINDOWS;
    }

    /** Whether a layer with such attention turns its queries and keys. */
    boolean turns(AttentionConfig attention) {
      return this == ROTARY || this == ROTARY_WINDOWS && attention.isWindow();
    }

    /** Whether components are sines and cosines, in the beginning at least. */
    boolean isOfSizeOne() {
      return this == SINUSOIDAL || this == LEARNED_FROM_SINUSOIDS;
    }

    /** Whether there is a trained table. */
    public boolean isTable() {
      return this == LEARNED || this == LEARNED_FROM_SINUSOIDS || this == LEARNED_BEHIND_PADDING;
    }
  }

  /** How a sequence becomes one vector. */
  public enum Pooling {
    @JsonProperty("mean")
    MEAN,
    @JsonProperty("sum")
    SUM,
    @JsonProperty("max")
    MAX,
    /** All positions beside each other; every sequence must be {@code maxLength} long. */
    @JsonProperty("flatten")
    FLATTEN,
    /** The first position. */
    @JsonProperty("cls")
    CLS
  }

  /**
   * Where layer norms stand, in each block, and what they compute.
   *
   * @param epsilon added to the variance
   * @param embeddings whether the sum of the embeddings is normalised
   * @param last whether the output of the last block is
   */
  public record Normalization(
      Position position, double epsilon, Formula formula, boolean embeddings, boolean last) {
    /** Where the norms of a block stand. */
    public enum Position {
      /** {@code x + f(norm(x))}. */
      @JsonProperty("pre")
      PRE,
      /** {@code norm(x + f(x))}. */
      @JsonProperty("post")
      POST,
      /**
       * As {@link #PRE}, but attention takes its keys and values from x itself: Model Garden's
       * TransformerScaffold with {@code norm_first}.
       */
      @JsonProperty("pre-query")
      PRE_QUERY
    }

    public Normalization {
      require(position != null && formula != null, "normalization needs a position and a formula");
      require(epsilon >= 0, "normalization.epsilon must be 0 or more, not %s", epsilon);
    }
  }

  /**
   * The share of elements that training sets to 0. At inference nothing is dropped.
   *
   * @param attention of exact attention's weights, and of the outputs of heads in Model Garden's;
   *     FAVOR+ has no weights and drops nothing, as in Google's code
   * @param mlp between the two dense layers of an MLP
   * @param residual of what a block adds to its input
   * @param classifier of the vector that the classifier takes
   */
  public record DropoutRates(
      double embeddings, double attention, double mlp, double residual, double classifier) {
    public static final DropoutRates NONE = new DropoutRates(0, 0, 0, 0, 0);

    public DropoutRates {
      for (double rate : new double[] {embeddings, attention, mlp, residual, classifier}) {
        boolean isRate = rate >= 0 && rate < 1;
        require(isRate, "a rate of dropout must be 0 or more and below 1, not %s", rate);
      }
    }
  }
}
