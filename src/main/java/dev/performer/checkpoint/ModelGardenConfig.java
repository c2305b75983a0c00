package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.checkpoint.ImportOptions.AttentionKind;
import dev.performer.checkpoint.NamingScheme.UnknownAttentionException;
import dev.performer.model.AttentionConfig;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What KernelAttention computes, from Keras' configuration, a config.json near it, and options. */
final class ModelGardenConfig {
  private final ImportOptions options;
  private final WeightMap map;
  final boolean isKernel;
  private final JsonNode keras;
  private final JsonNode hidden;
  private final JsonNode near;

  ModelGardenConfig(Collection<String> names, WeightMap map) {
    this.options = map.options;
    this.map = map;
    this.keras = map.file.modelConfig.path("config");
    this.hidden = keras.path("hidden_cfg");
    this.near = map.file.nearConfig();
    this.isKernel = findKernel(names);
  }

  private boolean findKernel(Collection<String> names) {
    if (!hidden.isMissingNode()) {
      return "KernelAttention".equals(hidden.path("attention_cls").textValue());
    }
    String softmax = "(.*/)?(self_attention|transformer_encoder_block(_\\d+)?)/.*";
    if (names.stream().anyMatch(name -> name.contains("kernel_attention"))) {
      return true;
    } else if (names.stream().anyMatch(name -> name.matches(softmax))
        || options.attention() == AttentionKind.EXACT
        || "bert".equals(options.preset())) {
      return false;
    } else if (options.favor().kernel() != null || "kernel-encoder".equals(options.preset())) {
      return true;
    }
    String type = near.path("type").textValue();
    if (type == null) {
      String lacks =
          "names do not tell KernelAttention from softmax; give the preset, kernel-encoder or bert";
      throw new UnknownAttentionException(map.path(), lacks, "preset");
    }
    return type.equals("kernel");
  }

  /** Scaffolds that normalize first take keys and values from what is not normalized. */
  String normPosition() {
    Boolean isFirst = options.normFirst();
    if (isFirst == null) {
      List<JsonNode> configs = keras.isMissingNode() ? List.of(near) : List.of(keras, hidden);
      isFirst = configs.stream().anyMatch(keys -> keys.path("norm_first").asBoolean(false));
      if (keras.isMissingNode() && !near.has("norm_first")) {
        map.note("assumed norms after each part; the option normFirst overrides it");
      }
    }
    return !isFirst ? "post" : isKernel ? "pre-query" : "pre";
  }

  /** The MLP's activation in our words. Model Garden's gelu is the one with tanh. */
  String activation() {
    JsonNode found = keras.path("inner_activation");
    found = found.isMissingNode() ? hidden.path("intermediate_activation") : found;
    found = found.isObject() ? found.path("config") : found;
    String name = found.asText("gelu").replaceFirst(".*>", "");
    return switch (name) {
      case "gelu" -> "gelu-tanh";
      case "relu", "tanh", "silu", "elu", "sigmoid", "linear" -> name;
      case "swish" -> "silu";
      default -> throw map.wrong("the activation %s cannot be expressed", name);
    };
  }

  /** How each layer attends, with the seed of its projection. */
  List<AttentionConfig> attention(int layers) {
    requireItsDraw();
    JsonNode cfg = hidden.path("attention_cfg");
    Map<String, Object> entry = new HashMap<>();
    for (JsonNode keys : List.of(near, cfg)) {
      keys.properties().forEach(key -> entry.put(key.getKey(), value(key.getValue())));
    }
    entry.computeIfAbsent("feature_transform", key -> entry.get("transform"));
    FavorKeys given = options.favor();
    if (given.kernel() != null) {
      String label = given.kernel().label();
      entry.put("feature_transform", given.kernel().nameIn(Code.MODEL_GARDEN).orElse(label));
    }
    if (given.features() != null) {
      entry.put("num_random_features", given.features());
    }
    putWindow(entry);
    String unknown =
        "the file does not tell how many features there are (Model Garden's default is 256)";
    map.checkGiven("features", entry.get("num_random_features") != null, unknown);
    if (entry.get("feature_transform") == null) {
      map.note("the kernel is not in the file: assumed Model Garden's default, exp (softmax)");
    }
    JsonNode perLayer = keras.path("layer_idx_as_attention_seed");
    boolean isShared = cfg.has("seed") && !perLayer.isMissingNode() && !perLayer.asBoolean();
    if (given.seed() == null && !isShared) {
      map.note("projections: seed of layer i is i, as Model Garden's encoder gives it");
    }
    long first = isShared ? cfg.path("seed").asLong() : 0;
    entry.put("seed", given.seed() != null ? given.seed() : first);
    var config = map.named(() -> KernelAttentionConfig.ofKeras(entry));
    map.check(
        config.beginKernel() > 0 || !map.has("layer_0/attention/output_exact/kernel"),
        "the first positions have an output layer of their own, but how many they are is not in the file; give begin_kernel in a config.json beside it");
    List<AttentionConfig> all = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      all.add(new AttentionConfig.ModelGarden(isShared ? config : config.ofLayer(i)));
    }
    return all;
  }

  private static Object value(JsonNode node) {
    return node.isTextual()
        ? node.textValue()
        : node.isBoolean() ? node.booleanValue() : node.isNumber() ? node.numberValue() : null;
  }

  /** Options of projections that the layer cannot have. */
  private void requireItsDraw() {
    Convention given = options.favor().convention();
    boolean isItsOwn = given == null || given.equals(Convention.MODEL_GARDEN);
    map.check(isItsOwn, "KernelAttention has the convention model-garden, not %s", given);
    FavorKeys defaults =
        FavorConfig.builder().kernel(Kernel.DEFAULT).convention(Convention.MODEL_GARDEN);
    map.named(
        () -> {
          FavorConfig favor = options.favor().over(defaults).causal(false).build();
          favor.draw().require(favor.directions(), favor.lengths());
          return favor;
        });
  }

  private void putWindow(Map<String, Object> entry) {
    boolean isGiven = options.favor().causal() != null || options.window() != null;
    boolean isCausal =
        isGiven
            ? !Boolean.FALSE.equals(options.favor().causal())
            : near.path("causal").asBoolean(false);
    if (isGiven && !isCausal) {
      entry.remove("use_causal_windowed");
    }
    if (options.window() != null) {
      entry.put("causal_window_length", options.window());
    }
    if (!isCausal || Boolean.TRUE.equals(entry.get("use_causal_windowed"))) {
      return;
    }
    entry.computeIfAbsent("causal_window_length", key -> entry.get("window"));
    String unknown =
        "the file does not tell the window of causal KernelAttention; give it, or causal_window_length and causal_chunk_length in a config.json beside it";
    map.checkGiven("window", entry.get("causal_window_length") != null, unknown);
    entry.put("use_causal_windowed", true);
    if (entry.get("causal_chunk_length") == null) {
      map.note("causal chunks: assumed Model Garden's default length, 1");
    }
  }
}
