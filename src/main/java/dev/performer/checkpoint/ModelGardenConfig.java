package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * What KernelAttention computes in a checkpoint, gathered from Keras' configuration, a {@code
 * config.json} near it, and what is given; names tell kernel from softmax attention.
 */
final class ModelGardenConfig {
  private final WeightFile file;
  private final ImportOptions options;
  private final WeightMap map;
  private final JsonNode keras;
  private final JsonNode near;
  private final boolean isKernel;

  ModelGardenConfig(
      WeightFile file, Collection<String> names, ImportOptions options, WeightMap map) {
    this.file = file;
    this.options = options;
    this.map = map;
    this.keras = file.modelConfig().map(c -> c.path("config")).orElse(MissingNode.getInstance());
    this.near = NeighbourConfig.near(file.path());
    this.isKernel = findKernel(names);
  }

  private boolean findKernel(Collection<String> names) {
    if (!keras.path("hidden_cfg").isMissingNode()) {
      return "KernelAttention".equals(keras.path("hidden_cfg").path("attention_cls").textValue());
    }
    if (names.stream().anyMatch(name -> name.contains("kernel_attention"))) {
      return true;
    }
    if (names.stream()
        .anyMatch(n -> n.matches("(.*/)?(self_attention|transformer_encoder_block(_\\d+)?)/.*"))) {
      return false;
    }
    if (options.attention() == ImportOptions.AttentionKind.EXACT
        || "bert".equals(options.preset())) {
      return false;
    }
    if (options.favor().kernel() != null || "kernel-encoder".equals(options.preset())) {
      return true;
    }
    String type = near.path("type").textValue();
    if (type == null) {
      throw new UnknownAttentionException(
          file.path()
              + ": names do not tell whether attention is KernelAttention or softmax; say"
              + " which preset it is, kernel-encoder or bert",
          "preset");
    }
    return type.equals("kernel");
  }

  boolean isKernel() {
    return isKernel;
  }

  /** Whether the user's file has attention entries, so that nothing else needs to be known. */
  boolean isAttentionGiven() {
    return options.config() != null
        && StrictJson.readTree(options.config()).path("attention").isContainerNode();
  }

  /** Scaffolds that normalize first take keys and values from what is not normalized. */
  String normPosition() {
    boolean isFirst =
        keras.path("norm_first").asBoolean(false)
            || keras.path("hidden_cfg").path("norm_first").asBoolean(false);
    if (options.normFirst() != null) {
      isFirst = options.normFirst();
    } else if (keras.isMissingNode()) {
      isFirst = near.path("norm_first").asBoolean(false);
      if (!near.has("norm_first")) {
        map.note(
            "assumed norms after each part (norm_first=False), as weights do not tell;"
                + " the option normFirst overrides it");
      }
    }
    return !isFirst ? "post" : isKernel ? "pre-query" : "pre";
  }

  /** The MLP's activation in our words. Model Garden's gelu is the one with tanh. */
  String activation() {
    JsonNode found =
        keras.has("inner_activation")
            ? keras.path("inner_activation")
            : keras.path("hidden_cfg").path("intermediate_activation");
    JsonNode name = found.isObject() ? found.path("config") : found;
    String text = name.asText("gelu").replaceFirst(".*>", "");
    return switch (text) {
      case "gelu" -> "gelu-tanh";
      case "relu", "tanh", "silu", "elu", "sigmoid", "linear" -> text;
      case "swish" -> "silu";
      default ->
          throw new PerformerException(
              file.path() + ": the activation " + text + " cannot be expressed");
    };
  }

  /** How each layer attends, with the seed of its projection. */
  List<AttentionConfig> attention(int layers) {
    requireItsDraw();
    JsonNode cfg = keras.path("hidden_cfg").path("attention_cfg");
    Map<String, Object> entry = new HashMap<>();
    for (JsonNode keys : List.of(near, cfg)) {
      keys.fields().forEachRemaining(key -> entry.put(key.getKey(), value(key.getValue())));
    }
    if (entry.get("transform") != null) {
      entry.putIfAbsent("feature_transform", entry.get("transform"));
    }
    FavorKeys given = options.favor();
    if (given.kernel() != null) {
      entry.put(
          "feature_transform",
          given.kernel().nameIn(Code.MODEL_GARDEN).orElse(given.kernel().label()));
    }
    if (given.features() != null) {
      entry.put("num_random_features", given.features());
    }
    putWindow(entry);
    if (entry.get("num_random_features") == null) {
      throw new PerformerException(
              file.path()
                  + ": the number of random features is not in the file; say how many features"
                  + " (Model Garden's default is 256)")
          .settledBy("features");
    }
    if (entry.get("feature_transform") == null) {
      map.note("the kernel is not in the file: assumed Model Garden's default, exp (softmax)");
    }
    boolean isShared =
        cfg.has("seed")
            && keras.has("layer_idx_as_attention_seed")
            && !keras.path("layer_idx_as_attention_seed").asBoolean();
    long first = given.seed() != null ? given.seed() : (isShared ? cfg.path("seed").asLong() : 0);
    if (given.seed() == null && !isShared) {
      map.note("projections: seed of layer i is i, as Model Garden's encoder gives it");
    }
    entry.put("seed", first);
    KernelAttentionConfig config = config(entry);
    if (map.has("layer_0/attention/output_exact/kernel") && config.beginKernel() == 0) {
      throw new PerformerException(
          file.path()
              + ": the first positions have an output layer of their own, but how many they are is"
              + " not in the file; give begin_kernel in a config.json beside it");
    }
    return IntStream.range(0, layers)
        .<AttentionConfig>mapToObj(
            i -> new AttentionConfig.ModelGarden(isShared ? config : config.ofLayer(i)))
        .toList();
  }

  private static Object value(JsonNode node) {
    return node.isTextual()
        ? node.textValue()
        : node.isBoolean() ? node.booleanValue() : node.isNumber() ? node.numberValue() : null;
  }

  private KernelAttentionConfig config(Map<String, Object> keras) {
    try {
      return KernelAttentionConfig.ofKeras(keras);
    } catch (PerformerException e) {
      throw new PerformerException(file.path() + ": " + e.getMessage(), e);
    }
  }

  /** Options of projections that the layer cannot have. */
  private void requireItsDraw() {
    Convention given = options.favor().convention();
    if (given != null && !given.equals(Convention.MODEL_GARDEN)) {
      throw new PerformerException(
          file.path() + ": KernelAttention has the convention model-garden, not " + given);
    }
    FavorConfig favor =
        options
            .favor()
            .over(FavorConfig.builder().kernel(Kernel.DEFAULT).convention(Convention.MODEL_GARDEN))
            .causal(false)
            .build();
    try {
      favor.draw().require(favor.directions(), favor.lengths());
    } catch (PerformerException e) {
      throw new PerformerException(file.path() + ": " + e.getMessage(), e);
    }
  }

  private void putWindow(Map<String, Object> entry) {
    Boolean causal = options.causal();
    boolean isGiven = causal != null || options.window() != null;
    boolean isCausal =
        isGiven ? !Boolean.FALSE.equals(causal) : near.path("causal").asBoolean(false);
    if (isGiven && !isCausal) {
      entry.remove("use_causal_windowed");
    }
    if (options.window() != null) {
      entry.put("causal_window_length", options.window());
    }
    if (!isCausal || Boolean.TRUE.equals(entry.get("use_causal_windowed"))) {
      return;
    }
    if (entry.get("window") != null) {
      entry.putIfAbsent("causal_window_length", entry.get("window"));
    }
    if (entry.get("causal_window_length") == null) {
      throw new PerformerException(
              file.path()
                  + ": causal KernelAttention needs the length of its window, which the file does not"
                  + " have; say its window, or give causal_window_length and causal_chunk_length in a"
                  + " config.json beside it")
          .settledBy("window");
    }
    entry.put("use_causal_windowed", true);
    if (entry.get("causal_chunk_length") == null) {
      map.note("causal chunks: assumed Model Garden's default length, 1");
    }
  }
}
