package dev.performer.attention.modelgarden;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.projection.ModelGardenProjections;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.StrictJson;
import java.lang.reflect.RecordComponent;
import java.util.List;
import java.util.Locale;
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
      String message =
          "causal windows need a chunk length and a window length of 1 or more, not %d and %d";
      require(chunk >= 1 && window >= 1, message, chunk, window);
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
    boolean isKnown = kernel.nameIn(Code.MODEL_GARDEN).isPresent();
    String unknown = "KernelAttention has no feature transform for the kernel %s; it has %s";
    require(isKnown, unknown, kernel, Kernel.allNames(Code.MODEL_GARDEN));
    String negative = "num_random_features and begin_kernel must be 0 or more, not %d and %d";
    boolean areCounts = numRandomFeatures >= 0 && beginKernel >= 0;
    require(areCounts, negative, numRandomFeatures, beginKernel);
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
   * @throws dev.performer.PerformerException where Model Garden raises a ValueError, or if a value
   *     has the wrong type
   */
  public static KernelAttentionConfig ofKeras(Map<String, ?> arguments) {
    return of(Keys.ofKeras(arguments));
  }

  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  static KernelAttentionConfig of(Keys keys) {
    return keys.config();
  }

  @JsonValue
  Keys keys() {
    return Keys.of(this);
  }

  /** The same as layer {@code i} has it: with the seed of its own projection. */
  public KernelAttentionConfig ofLayer(int layer) {
    return new KernelAttentionConfig(
        kernel, numRandomFeatures, seed + layer, redraw, mixing, beginKernel, scale, scaleByLength);
  }

  /** The projection that the layer holds, {@code [M, D]}; empty without random features. */
  public Optional<ProjectionMatrix> projection(int headSize) {
    int rows = numRandomFeatures;
    return Optional.ofNullable(
        rows == 0 ? null : ModelGardenProjections.ofLayer(rows, headSize, seed));
  }

  /**
   * Whether training really redraws: with {@code begin_kernel} Model Garden passes its training
   * flag in the wrong place, so that it never does.
   */
  public boolean redrawsInTraining() {
    return redraw && beginKernel == 0;
  }

  /**
   * The arguments of Model Garden's KernelAttention as files have them: in camel case in our JSON
   * and YAML, in snake case in Keras. Null is absent, and has Model Garden's default.
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  record Keys(
      String featureTransform,
      Integer numRandomFeatures,
      Long seed,
      Boolean redraw,
      Boolean isShortSeq,
      Integer beginKernel,
      Double scale,
      Boolean scaleByLength,
      Boolean useCausalWindowed,
      Integer causalChunkLength,
      Integer causalWindowLength,
      Double causalWindowDecay,
      String causalPadding) {
    static Keys of(KernelAttentionConfig c) {
      CausalWindowed window = c.mixing() instanceof CausalWindowed w ? w : null;
      return new Keys(
          c.kernel().nameIn(Code.MODEL_GARDEN).orElseThrow(),
          c.numRandomFeatures(),
          c.seed(),
          c.redraw(),
          c.mixing() instanceof Short,
          c.beginKernel(),
          orNull(c.scale()),
          c.scaleByLength(),
          window != null,
          window == null ? null : window.chunk(),
          window == null ? null : window.window(),
          window == null ? null : orNull(window.decay()),
          window == null || window.padding() == Padding.NONE
              ? null
              : window.padding().name().toLowerCase(Locale.ROOT));
    }

    private static Double orNull(OptionalDouble x) {
      return x.isEmpty() ? null : x.getAsDouble();
    }

    KernelAttentionConfig config() {
      String transform = requireNonNullElse(featureTransform, "exp");
      Kernel kernel = Kernel.named(Code.MODEL_GARDEN, transform).orElse(null);
      String unknown = "feature_transform '%s' is unknown; expected one of %s";
      require(kernel != null, unknown, transform, Kernel.allNames(Code.MODEL_GARDEN));
      return new KernelAttentionConfig(
          kernel,
          Math.max(0, requireNonNullElse(numRandomFeatures, 256)),
          requireNonNullElse(seed, 0L),
          requireNonNullElse(redraw, false),
          mixing(),
          requireNonNullElse(beginKernel, 0),
          optional(scale),
          requireNonNullElse(scaleByLength, false));
    }

    private Mixing mixing() {
      boolean isShort = requireNonNullElse(isShortSeq, false);
      boolean isWindowed = requireNonNullElse(useCausalWindowed, false);
      require(
          !isShort || !isWindowed,
          "is_short_seq and use_causal_windowed exclude each other; set one of them to false");
      if (!isWindowed) {
        return isShort ? new Short() : new Linear();
      }
      int chunk = requireNonNullElse(causalChunkLength, 1);
      int window = requireNonNullElse(causalWindowLength, 3);
      return new CausalWindowed(chunk, window, optional(causalWindowDecay), padding());
    }

    private Padding padding() {
      String message = "causal_padding '%s' is unknown; expected left, right or none at all";
      String side = requireNonNullElse(causalPadding, "");
      require(List.of("", "left", "right").contains(side), message, side);
      return side.isEmpty() ? Padding.NONE : Padding.valueOf(side.toUpperCase(Locale.ROOT));
    }

    private static OptionalDouble optional(Double x) {
      return x == null ? OptionalDouble.empty() : OptionalDouble.of(x);
    }

    /** From arguments by their names in Python; other names are ignored. */
    static Keys ofKeras(Map<String, ?> arguments) {
      ObjectNode tree = JsonNodeFactory.instance.objectNode();
      for (RecordComponent component : Keys.class.getRecordComponents()) {
        String name = snakeCase(component.getName());
        Object value = arguments.get(name);
        if (value != null) {
          tree.set(component.getName(), StrictJson.tree(checked(name, value, component.getType())));
        }
      }
      return StrictJson.bind(tree, Keys.class, "KernelAttention");
    }

    private static String snakeCase(String camelCase) {
      return camelCase.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    private static Object checked(String name, Object value, Class<?> type) {
      double number = value instanceof Number n ? n.doubleValue() : Double.NaN;
      boolean isWhole = number == Math.rint(number); // NaN is none
      String expected = null;
      if (type == String.class) {
        expected = value instanceof String ? null : "a string";
      } else if (type == Boolean.class) {
        expected = value instanceof Boolean ? null : "true or false";
      } else if (type == Double.class) {
        expected = Double.isFinite(number) ? null : "a number";
      } else if (!isWhole) {
        expected = "a whole number";
      } else if (type == Integer.class && number != (int) number) {
        expected = "a number below " + Integer.MAX_VALUE;
      }
      require(expected == null, "%s is %s, but must be %s", name, value, expected);
      if (type == Double.class) {
        return number;
      }
      return value instanceof Number n ? (Object) n.longValue() : value;
    }
  }
}
