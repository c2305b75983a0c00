package dev.performer.attention.modelgarden;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.modelgarden.KernelAttentionConfig.CausalWindowed;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Linear;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Mixing;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Padding;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Short;
import dev.performer.data.StrictJson;
import java.lang.reflect.RecordComponent;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * The arguments of Model Garden's KernelAttention as files have them: in camel case in our JSON and
 * YAML, in snake case in Keras. Null is absent, and has Model Garden's default.
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
record KernelArguments(
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

  static KernelArguments of(KernelAttentionConfig c) {
    CausalWindowed window = c.mixing() instanceof CausalWindowed w ? w : null;
    return new KernelArguments(
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
    String transform = or(featureTransform, "exp");
    return new KernelAttentionConfig(
        Kernel.named(Code.MODEL_GARDEN, transform)
            .orElseThrow(
                () ->
                    new PerformerException(
                        "feature_transform '%s' is unknown; expected one of %s"
                            .formatted(transform, Kernel.allNames(Code.MODEL_GARDEN)))),
        Math.max(0, or(numRandomFeatures, 256)),
        or(seed, 0L),
        or(redraw, false),
        mixing(),
        or(beginKernel, 0),
        optional(scale),
        or(scaleByLength, false));
  }

  private Mixing mixing() {
    boolean isShort = or(isShortSeq, false);
    boolean isWindowed = or(useCausalWindowed, false);
    PerformerException.require(
        !isShort || !isWindowed,
        "is_short_seq and use_causal_windowed exclude each other; set one of them to false");
    if (!isWindowed) {
      return isShort ? new Short() : new Linear();
    }
    int chunk = or(causalChunkLength, 1);
    int window = or(causalWindowLength, 3);
    return new CausalWindowed(chunk, window, optional(causalWindowDecay), padding());
  }

  private Padding padding() {
    return switch (or(causalPadding, "")) {
      case "" -> Padding.NONE;
      case "left" -> Padding.LEFT;
      case "right" -> Padding.RIGHT;
      default ->
          throw new PerformerException(
              "causal_padding '%s' is unknown; expected left, right or none at all"
                  .formatted(causalPadding));
    };
  }

  private static <T> T or(T value, T absent) {
    return value == null ? absent : value;
  }

  private static OptionalDouble optional(Double x) {
    return x == null ? OptionalDouble.empty() : OptionalDouble.of(x);
  }

  /** From arguments by their names in Python; other names are ignored. */
  static KernelArguments ofKeras(Map<String, ?> arguments) {
    ObjectNode tree = JsonNodeFactory.instance.objectNode();
    for (RecordComponent component : KernelArguments.class.getRecordComponents()) {
      String name = snakeCase(component.getName());
      Object value = arguments.get(name);
      if (value != null) {
        tree.set(component.getName(), StrictJson.tree(checked(name, value, component.getType())));
      }
    }
    return StrictJson.bind(tree, KernelArguments.class, "KernelAttention");
  }

  private static String snakeCase(String camelCase) {
    return camelCase.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
  }

  private static Object checked(String name, Object value, Class<?> type) {
    if (type == String.class || type == Boolean.class) {
      String expected = type == String.class ? "a string" : "true or false";
      return require(type.isInstance(value), name, value, expected);
    }
    double number = value instanceof Number n ? n.doubleValue() : Double.NaN;
    if (type == Double.class) {
      require(Double.isFinite(number), name, value, "a number");
      return number;
    }
    require(number == Math.rint(number), name, value, "a whole number"); // NaN is none
    boolean fits = type == Long.class || number == (int) number;
    require(fits, name, value, "a number below " + Integer.MAX_VALUE);
    return ((Number) value).longValue();
  }

  private static Object require(boolean right, String name, Object value, String expected) {
    PerformerException.require(right, "%s is %s, but must be %s", name, value, expected);
    return value;
  }
}
