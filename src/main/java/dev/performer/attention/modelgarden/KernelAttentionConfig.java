package dev.performer.attention.modelgarden;

import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.ModelGardenProjections;
import dev.performer.attention.projection.ProjectionMatrix;
import java.util.EnumSet;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;

/**
 * The arguments of Model Garden's {@code KernelAttention} that change what it computes.
 *
 * @param kernel the {@code feature_transform}: elu, relu, square, exp (our softmax), expmod,
 *     identity or expplus (our FAVOR++)
 * @param numRandomFeatures rows of the projection; 0 for none
 * @param seed of the projection; Model Garden's encoder gives layer i the seed i
 * @param redraw whether training takes a new projection at every call
 * @param mixing how queries and keys meet
 * @param beginKernel how many leading queries use softmax weights and an output layer of their own;
 *     0 for none
 * @param scale of the product of queries and keys; empty for 1/sqrt(head size)
 * @param scaleByLength whether the scale grows with the logarithm of the number of keys kept, and
 *     is {@code scale} at 512 keys
 * @see <a
 *     href="https://github.com/tensorflow/models/blob/master/official/nlp/modeling/layers/kernel_attention.py">kernel_attention.py</a>
 */
public record KernelAttentionConfig(
    Kernel kernel,
    int numRandomFeatures,
    long seed,
    boolean redraw,
    Mixing mixing,
    int beginKernel,
    OptionalDouble scale,
    boolean scaleByLength) {

  /** How queries and keys meet. */
  public sealed interface Mixing {}

  /** Linear attention over all keys. */
  public record Linear() implements Mixing {}

  /**
   * Softmax over the products of features, quadratic in the length: {@code is_short_seq}. A masked
   * key has the product 0, and so still a weight.
   */
  public record Short() implements Mixing {}

  /**
   * Linear attention of chunks to themselves and the chunks before them: {@code
   * use_causal_windowed}. Within a chunk it is not causal.
   *
   * @param chunk positions in a chunk
   * @param window how many chunks are seen, the query's own included
   * @param decay factor from a chunk to the next; empty weighs all alike
   * @param padding what to do when the length is no multiple of {@code chunk}
   */
  public record CausalWindowed(int chunk, int window, OptionalDouble decay, Padding padding)
      implements Mixing {
    /** Checks the numbers. */
    public CausalWindowed {
      if (chunk < 1 || window < 1) {
        throw new PerformerException(
            "causal windows need a chunk length and a window length of 1 or more, not "
                + chunk
                + " and "
                + window);
      }
    }
  }

  /** Where a sequence is filled up to whole chunks: {@code causal_padding}. */
  public enum Padding {
    /** Nowhere: the length must be a multiple of the chunk length. */
    NONE,
    /**
     * In front. Model Garden then returns the first rows of the padded result: the rows of the
     * filling come first and the last positions are lost. Kept as it is.
     */
    LEFT,
    /** Behind. */
    RIGHT
  }

  private static final Map<String, Kernel> TRANSFORMS =
      Map.of(
          "elu", Kernel.ELU,
          "relu", Kernel.RELU,
          "square", Kernel.SQUARE,
          "exp", Kernel.SOFTMAX,
          "expmod", Kernel.EXPMOD,
          "identity", Kernel.IDENTITY,
          "expplus", Kernel.FAVOR_PLUS_PLUS);

  private static final Set<Kernel> KERNELS = EnumSet.copyOf(TRANSFORMS.values());

  /** Checks that the arguments go together, as Model Garden's constructor and first call do. */
  public KernelAttentionConfig {
    if (!KERNELS.contains(kernel)) {
      throw new PerformerException(
          "KernelAttention has no feature transform for the kernel "
              + kernel.label()
              + "; it has "
              + transforms());
    }
    if (numRandomFeatures < 0 || beginKernel < 0) {
      throw new PerformerException(
          "num_random_features and begin_kernel must be 0 or more, not "
              + numRandomFeatures
              + " and "
              + beginKernel);
    }
    if (redraw && numRandomFeatures == 0) {
      throw new PerformerException(
          "redraw needs a projection: set num_random_features above 0, or redraw to false");
    }
    if (beginKernel > 0 && mixing instanceof CausalWindowed) {
      throw new PerformerException(
          "begin_kernel and use_causal_windowed do not go together (Model Garden fails at the first"
              + " call); set begin_kernel to 0");
    }
  }

  /** Model Garden's defaults: exp, 256 features, seed 0, bidirectional. */
  public static KernelAttentionConfig defaults() {
    return ofKeras(Map.of());
  }

  /**
   * From the arguments of the Keras layer ({@code get_config}) or of Model Garden's kernel encoder;
   * what is absent has Model Garden's default, what does not concern attention is ignored.
   *
   * @throws PerformerException where Model Garden raises a ValueError, or if a value has the wrong
   *     type
   */
  public static KernelAttentionConfig ofKeras(Map<String, ?> arguments) {
    KerasArguments keras = new KerasArguments(arguments);
    String transform = keras.text("feature_transform", "exp");
    Kernel kernel = TRANSFORMS.get(transform);
    if (kernel == null) {
      throw new PerformerException(
          "feature_transform '" + transform + "' is unknown; expected one of " + transforms());
    }
    boolean isShort = keras.flag("is_short_seq");
    boolean isWindowed = keras.flag("use_causal_windowed");
    if (isShort && isWindowed) {
      throw new PerformerException(
          "is_short_seq and use_causal_windowed exclude each other; set one of them to false");
    }
    Mixing mixing = isShort ? new Short() : isWindowed ? windowed(keras) : new Linear();
    return new KernelAttentionConfig(
        kernel,
        Math.max(0, keras.count("num_random_features", 256)),
        keras.whole("seed", 0),
        keras.flag("redraw"),
        mixing,
        keras.count("begin_kernel", 0),
        keras.real("scale"),
        keras.flag("scale_by_length"));
  }

  private static CausalWindowed windowed(KerasArguments keras) {
    return new CausalWindowed(
        keras.count("causal_chunk_length", 1),
        keras.count("causal_window_length", 3),
        keras.real("causal_window_decay"),
        switch (keras.text("causal_padding", "")) {
          case "" -> Padding.NONE;
          case "left" -> Padding.LEFT;
          case "right" -> Padding.RIGHT;
          default ->
              throw new PerformerException(
                  "causal_padding '"
                      + keras.text("causal_padding", "")
                      + "' is unknown; expected left, right or none at all");
        });
  }

  private static String transforms() {
    return TRANSFORMS.keySet().stream().sorted().toList().toString();
  }

  /**
   * The projection that the layer holds.
   *
   * @param headSize D
   * @return {@code [numRandomFeatures, D]}; empty without random features
   */
  public Optional<ProjectionMatrix> projection(int headSize) {
    return numRandomFeatures == 0
        ? Optional.empty()
        : Optional.of(ModelGardenProjections.ofLayer(numRandomFeatures, headSize, seed));
  }

  /**
   * Whether training really redraws: with {@code begin_kernel} Model Garden passes its training
   * flag in the wrong place, so that it never does.
   */
  public boolean redrawsInTraining() {
    return redraw && beginKernel == 0;
  }
}
