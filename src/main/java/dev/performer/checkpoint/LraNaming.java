package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Encoders of Google's Long Range Arena. Attention, number of heads apart, and pooling are not in
 * the file.
 *
 * @see <a
 *     href="https://github.com/google-research/long-range-arena/tree/main/lra_benchmarks/models">long-range-arena</a>
 */
final class LraNaming implements NamingScheme {
  private static final String EMBEDDING = "Embed_0/embedding";

  @Override
  public String label() {
    return "long-range-arena";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return FlaxParameters.find(file, EMBEDDING)
        .map(p -> has(p, "encoderblock_0/LayerNorm_0/scale"))
        .orElse(false);
  }

  private static boolean has(FlaxParameters parameters, String name) {
    return parameters.file().tensors().containsKey(parameters.prefix() + name);
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    FlaxParameters parameters =
        FlaxParameters.find(file, EMBEDDING)
            .orElseThrow(() -> new PerformerException(file.path() + " has no " + EMBEDDING));
    if (parameters.prefix().endsWith("encoder/")) {
      throw new PerformerException(
          file.path()
              + " is a dual encoder, for matching two documents: two passes of one encoder, whose"
              + " pooled outputs meet in the layers mlp, mlp2 and logits. No model here takes two"
              + " sequences");
    }
    if (options.preset() != null && !options.preset().equals("lra-encoder")) {
      throw new PerformerException(
              file.path()
                  + ": preset "
                  + options.preset()
                  + " does not fit: its names are those of Long Range Arena; use the preset lra-encoder"
                  + " or none")
          .settledBy("preset");
    }
    JsonNode own = options.config() == null ? null : StrictJson.readTree(options.config());
    if (!JaxAttention.isGiven(options) && (own == null || !own.has("attention"))) {
      throw new UnknownAttentionException(
          file.path()
              + ": Long Range Arena does not store which attention a model has; say the kernel relu"
              + " (its 'generalized'), the kernel softmax and how many features, or attention exact"
              + " (its 'dot_product')",
          "kernel",
          "features",
          "attention");
    }
    WeightMap map = new WeightMap(file);
    Map<String, String> names = names(parameters);
    names.forEach(
        (ours, theirs) -> {
          boolean leads =
              ours.equals("embeddings/position") || ours.equals("embeddings/class_token");
          map.put(
              ours,
              parameters.prefix() + theirs,
              leads ? WeightMap.Layout.LEADING_ONES : WeightMap.Layout.SAME);
        });
    parameters.ignoreState(map);
    PerformerConfig config = config(file, map, options, own);
    ModelWeights weights = map.finish(label(), config, options.allowMissing());
    WeightMap late = new WeightMap(file);
    Optional<OptimizerState> optimizer = parameters.optimizer(names, weights.weights(), late);
    List<String> notes = new ArrayList<>(weights.notes());
    notes.addAll(late.notes());
    return new ModelWeights(
        label(), config, weights.weights(), optimizer, Optional.empty(), Optional.empty(), notes);
  }

  private static Map<String, String> names(FlaxParameters parameters) {
    Map<String, String> names = new LinkedHashMap<>();
    names.put("embeddings/token", EMBEDDING);
    names.put("embeddings/position", "posembed_input/pos_embedding");
    names.put("embeddings/class_token", "cls");
    for (int i = 0; has(parameters, "encoderblock_" + i + "/LayerNorm_0/scale"); i++) {
      block(names, "layer_" + i, "encoderblock_" + i);
    }
    pair(names, "final_norm", "encoder_norm", "scale");
    pair(names, "classifier/hidden_0", "mlp", "kernel");
    pair(names, "classifier/logits", "logits", "kernel");
    names.values().removeIf(theirs -> !has(parameters, theirs));
    return names;
  }

  private static void block(Map<String, String> names, String ours, String theirs) {
    pair(names, ours + "/attention_norm", theirs + "/LayerNorm_0", "scale");
    String attention = theirs + "/MultiHeadDotProductAttention_1/";
    for (String part : List.of("query", "key", "value")) {
      names.put(ours + "/attention/" + part + "/kernel", attention + part + "/kernel");
    }
    names.put(ours + "/attention/output/kernel", attention + "out/kernel");
    pair(names, ours + "/mlp_norm", theirs + "/LayerNorm_2", "scale");
    pair(names, ours + "/mlp/in", theirs + "/MlpBlock_3/Dense_0", "kernel");
    pair(names, ours + "/mlp/out", theirs + "/MlpBlock_3/Dense_1", "kernel");
  }

  private static void pair(Map<String, String> names, String ours, String theirs, String first) {
    names.put(ours + "/" + first, theirs + "/" + first);
    names.put(ours + "/bias", theirs + "/bias");
  }

  private static PerformerConfig config(
      WeightFile file, WeightMap map, ImportOptions options, JsonNode own) {
    ConfigBuilder builder = new ConfigBuilder(file, "lra-encoder").putSizes(map).putHeads(map);
    List<String> notes = new ArrayList<>();
    boolean classToken = map.has("embeddings/class_token");
    int width = map.size("embeddings/token", 2, 1);
    builder.put("classToken", classToken);
    String pooling = classToken ? "cls" : options.pooling();
    Integer longest = options.maxLength();
    if (map.has("classifier/hidden_0/kernel")) {
      int in = map.size("classifier/hidden_0/kernel", 2, 0);
      builder.put("classes", map.size("classifier/logits/kernel", 2, 1));
      builder.put("classifierSizes", List.of(map.size("classifier/hidden_0/kernel", 2, 1)));
      if (in != width && in % width == 0) {
        pooling = "flatten";
        longest = in / width;
      } else if (pooling == null) {
        pooling = "mean";
        notes.add(
            "how the sequence is pooled is not in the file: the mean, unless another pooling is given");
      }
    } else {
      builder.put("task", "encoder").put("classes", 0).put("classifierSizes", List.of());
    }
    if (pooling != null) {
      builder.put("pooling", pooling);
    }
    if (map.has("embeddings/position")) {
      int rows = map.size("embeddings/position", 2, 0);
      builder.put("positions", "learned").put("maxLength", classToken ? rows - 1 : rows);
    } else {
      builder.put("positions", "sinusoidal");
      if (longest != null) {
        builder.put("maxLength", longest);
      }
    }
    if (JaxAttention.isGiven(options)) {
      builder.putAttention(JaxAttention.over(null, options, false, notes));
    }
    notes.forEach(map::note);
    return builder.config(options);
  }
}
