package dev.performer.attention.modelgarden;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.projection.ModelGardenProjections;
import dev.performer.attention.projection.ProjectionMatrix;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * The arguments of Model Garden's {@code KernelAttention} that change what it computes.
 *
 * @param kernel of the {@code feature_transform}; its exp is our softmax, its expplus our FAVOR++
 * @param numRandomFeatures M, rows of the projection; 0 for none
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
      require(
          chunk >= 1 && window >= 1,
          "causal windows need a chunk length and a window length of 1 or more, not %d and %d",
          chunk,
          window);
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

  /** Checks that the arguments go together, as Model Garden's constructor and first call do. */
  public KernelAttentionConfig {
    require(
        kernel.nameIn(Code.MODEL_GARDEN).isPresent(),
        "KernelAttention has no feature transform for the kernel %s; it has %s",
        kernel,
        Kernel.allNames(Code.MODEL_GARDEN));
    require(
        numRandomFeatures >= 0 && beginKernel >= 0,
        "num_random_features and begin_kernel must be 0 or more, not %d and %d",
        numRandomFeatures,
        beginKernel);
    require(
        !redraw || numRandomFeatures > 0,
        "redraw needs a projection: set num_random_features above 0, or redraw to false");
    require(
        beginKernel == 0 || !(mixing instanceof CausalWindowed),
        "begin_kernel and use_causal_windowed do not go together (Model Garden fails at the first call); set begin_kernel to 0");
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
    return of(KernelArguments.ofKeras(arguments));
  }

  /** From its keys in JSON and YAML. */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  static KernelAttentionConfig of(KernelArguments arguments) {
    return arguments.config();
  }

  /** All its keys in JSON and YAML. */
  @JsonValue
  KernelArguments arguments() {
    return KernelArguments.of(this);
  }

  /** The same as layer {@code i} has it: with the seed of its own projection. */
  public KernelAttentionConfig ofLayer(int layer) {
    return new KernelAttentionConfig(
        kernel, numRandomFeatures, seed + layer, redraw, mixing, beginKernel, scale, scaleByLength);
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
