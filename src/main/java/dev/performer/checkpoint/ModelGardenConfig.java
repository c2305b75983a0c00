package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/**
 * What KernelAttention computes in a checkpoint, gathered from Keras' configuration, a {@code
 * config.json} near it, and what a person says; names tell kernel from softmax attention.
 */
final class ModelGardenConfig {
  private static final Map<String, String> KEYS =
      Map.ofEntries(
          Map.entry("feature_transform", "featureTransform"),
          Map.entry("num_random_features", "numRandomFeatures"),
          Map.entry("redraw", "redraw"),
          Map.entry("is_short_seq", "isShortSeq"),
          Map.entry("begin_kernel", "beginKernel"),
          Map.entry("scale", "scale"),
          Map.entry("scale_by_length", "scaleByLength"),
          Map.entry("use_causal_windowed", "useCausalWindowed"),
          Map.entry("causal_chunk_length", "causalChunkLength"),
          Map.entry("causal_window_length", "causalWindowLength"),
          Map.entry("causal_window_decay", "causalWindowDecay"),
          Map.entry("causal_padding", "causalPadding"));

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
    this.keras =
        file instanceof DescribedWeights described
            ? described.modelConfig().map(c -> c.path("config")).orElse(MissingNode.getInstance())
            : MissingNode.getInstance();
    this.near = NeighbourConfig.near(file.path());
    this.isKernel = findKernel(names);
  }

  private boolean findKernel(Collection<String> names) {
    if (!keras.path("hidden_cfg").isMissingNode()) {
      return "KernelAttention"
          .equals(ModelGardenNaming.text(keras.path("hidden_cfg"), "attention_cls"));
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
    if (options.kernel() != null || "kernel-encoder".equals(options.preset())) {
      return true;
    }
    String type = ModelGardenNaming.text(near, "type");
    if (type == null) {
      throw new AttentionNotSaidException(
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
  boolean isAttentionSaid() {
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
                + " the option normFirst says otherwise");
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

  /** One entry per layer, each with the seed of its projection. */
  List<JsonNode> attention(int layers) {
    JsonNode cfg = keras.path("hidden_cfg").path("attention_cfg");
    ObjectNode entry = JsonNodeFactory.instance.objectNode();
    KEYS.forEach(
        (theirs, ours) -> {
          JsonNode value = cfg.has(theirs) ? cfg.path(theirs) : near.path(theirs);
          if (!value.isMissingNode() && !value.isNull()) {
            entry.set(ours, value);
          }
        });
    if (near.has("transform") && !entry.has("featureTransform")) {
      entry.set("featureTransform", near.path("transform"));
    }
    if (options.kernel() != null) {
      entry.put("featureTransform", transform(options.kernel().label()));
    }
    if (options.features() != null) {
      entry.put("numRandomFeatures", options.features());
    }
    putWindow(entry);
    if (!entry.has("numRandomFeatures")) {
      throw new PerformerException(
              file.path()
                  + ": the number of random features is not in the file; say how many features"
                  + " (Model Garden's default is 256)")
          .settledBy("features");
    }
    if (map.has("layer_0/attention/output_exact/kernel")
        && entry.path("beginKernel").asInt(0) == 0) {
      throw new PerformerException(
          file.path()
              + ": the first positions have an output layer of their own, but how many they are is"
              + " not in the file; give begin_kernel in a config.json beside it");
    }
    if (!entry.has("featureTransform")) {
      map.note("the kernel is not in the file: assumed Model Garden's default, exp (softmax)");
    }
    boolean isShared =
        cfg.has("seed")
            && keras.has("layer_idx_as_attention_seed")
            && !keras.path("layer_idx_as_attention_seed").asBoolean();
    long first =
        options.seed() != null ? options.seed() : (isShared ? cfg.path("seed").asLong() : 0);
    if (options.seed() == null && !isShared) {
      map.note("projections: seed of layer i is i, as Model Garden's encoder gives it");
    }
    List<JsonNode> all = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      ObjectNode own = entry.deepCopy().put("seed", isShared ? first : first + i);
      all.add(JsonNodeFactory.instance.objectNode().set("modelGarden", own));
    }
    return all;
  }

  private void putWindow(ObjectNode entry) {
    boolean isSaid = options.causal() != null || options.window() != null;
    boolean isCausal =
        isSaid ? !Boolean.FALSE.equals(options.causal()) : near.path("causal").asBoolean(false);
    if (isSaid && !isCausal) {
      entry.remove("useCausalWindowed");
    }
    if (options.window() != null) {
      entry.put("causalWindowLength", options.window());
    }
    if (!isCausal || entry.path("useCausalWindowed").asBoolean(false)) {
      return;
    }
    if (near.has("window") && !entry.has("causalWindowLength")) {
      entry.set("causalWindowLength", near.path("window"));
    }
    if (!entry.has("causalWindowLength")) {
      throw new PerformerException(
              file.path()
                  + ": causal KernelAttention needs the length of its window, which the file does not"
                  + " have; say its window, or give causal_window_length and causal_chunk_length in a"
                  + " config.json beside it")
          .settledBy("window");
    }
    entry.put("useCausalWindowed", true);
    if (!entry.has("causalChunkLength")) {
      map.note("causal chunks: assumed Model Garden's default length, 1");
    }
  }

  private static String transform(String kernel) {
    return switch (kernel) {
      case "softmax" -> "exp";
      case "favor++" -> "expplus";
      default -> kernel;
    };
  }
}
