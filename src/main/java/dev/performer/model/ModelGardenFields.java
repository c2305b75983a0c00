package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.performer.attention.Kernel;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.attention.modelgarden.KernelAttentionConfig.CausalWindowed;
import java.util.HashMap;
import java.util.Map;

/** The arguments of Model Garden's KernelAttention in camel case, as JSON and YAML have them. */
@JsonInclude(JsonInclude.Include.NON_NULL)
record ModelGardenFields(
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

  static ModelGardenFields of(KernelAttentionConfig c) {
    CausalWindowed window = c.mixing() instanceof CausalWindowed w ? w : null;
    Double decay = window == null || window.decay().isEmpty() ? null : window.decay().getAsDouble();
    String padding =
        window == null
            ? null
            : switch (window.padding()) {
              case NONE -> null;
              case LEFT -> "left";
              case RIGHT -> "right";
            };
    return new ModelGardenFields(
        transform(c.kernel()),
        c.numRandomFeatures(),
        c.seed(),
        c.redraw(),
        c.mixing() instanceof KernelAttentionConfig.Short,
        c.beginKernel(),
        c.scale().isEmpty() ? null : c.scale().getAsDouble(),
        c.scaleByLength(),
        window != null,
        window == null ? null : window.chunk(),
        window == null ? null : window.window(),
        decay,
        padding);
  }

  private static String transform(Kernel kernel) {
    return switch (kernel) {
      case SOFTMAX -> "exp";
      case FAVOR_PLUS_PLUS -> "expplus";
      default -> kernel.label();
    };
  }

  KernelAttentionConfig config() {
    Map<String, Object> keras = new HashMap<>();
    keras.put("feature_transform", featureTransform);
    keras.put("num_random_features", numRandomFeatures);
    keras.put("seed", seed);
    keras.put("redraw", redraw);
    keras.put("is_short_seq", isShortSeq);
    keras.put("begin_kernel", beginKernel);
    keras.put("scale", scale);
    keras.put("scale_by_length", scaleByLength);
    keras.put("use_causal_windowed", useCausalWindowed);
    keras.put("causal_chunk_length", causalChunkLength);
    keras.put("causal_window_length", causalWindowLength);
    keras.put("causal_window_decay", causalWindowDecay);
    keras.put("causal_padding", causalPadding);
    return KernelAttentionConfig.ofKeras(keras);
  }
}
