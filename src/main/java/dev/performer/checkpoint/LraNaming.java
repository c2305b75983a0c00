package dev.performer.checkpoint;

import dev.performer.checkpoint.FlaxCheckpoint.Parameters;
import dev.performer.checkpoint.NamingScheme.UnknownAttentionException;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.List;
import java.util.Map;

/**
 * Encoders of Google's Long Range Arena. Attention and pooling are not in the file.
 *
 * @see <a
 *     href="https://github.com/google-research/long-range-arena/tree/main/lra_benchmarks/models">long-range-arena</a>
 */
final class LraNaming implements NamingScheme {
  private static final String EMBEDDING = "Embed_0/embedding";
  private static final NameTable NAMES =
      new NameTable(
          Layout.SAME,
          "",
          """
          Embed_0 -> embeddings/token
          posembed_input -> embeddings/position
          encoderblock_{i}/LayerNorm_0 -> layer_{i}/attention_norm
          encoderblock_{i}/MultiHeadDotProductAttention_1/(query|key|value) -> layer_{i}/attention/$2
          encoderblock_{i}/MultiHeadDotProductAttention_1/out -> layer_{i}/attention/output
          encoderblock_{i}/LayerNorm_2 -> layer_{i}/mlp_norm
          encoderblock_{i}/MlpBlock_3/Dense_0 -> layer_{i}/mlp/in
          encoderblock_{i}/MlpBlock_3/Dense_1 -> layer_{i}/mlp/out
          encoder_norm -> final_norm
          mlp -> classifier/hidden_0
          logits -> classifier/logits
          """);

  @Override
  public boolean recognizes(WeightFile file) {
    return Parameters.find(file, EMBEDDING)
        .filter(p -> p.names().containsKey("encoderblock_0/LayerNorm_0/scale"))
        .isPresent();
  }

  @Override
  public ModelWeights map(WeightMap map) {
    ImportOptions options = map.options;
    Parameters parameters = Parameters.of(map, EMBEDDING, "lra-encoder");
    map.check(!parameters.prefix().endsWith("encoder/"), "a dual encoder cannot be imported");
    if (!JaxAttention.isGiven(options) && !options.configHas("attention")) {
      String lacks =
          "the file does not tell which attention it has; give the kernel relu (Long Range Arena's 'generalized'), the kernel softmax and how many features, or attention exact ('dot_product')";
      throw new UnknownAttentionException(map.path(), lacks, "kernel", "features", "attention");
    }
    Map<String, String> names = parameters.names();
    names.forEach((name, tensor) -> NAMES.place(map, tensor, name));
    boolean hasClassToken = names.containsKey("cls");
    if (hasClassToken) {
      map.put("embeddings/class_token", names.get("cls"), Layout.SAME);
    }
    parameters.ignoreState(map);
    ConfigBuilder config = new ConfigBuilder("lra-encoder", map).putHeads();
    config.put("classToken", hasClassToken);
    if (options.maxLength() != null) {
      config.put("maxLength", options.maxLength());
    }
    putPooling(config, map, hasClassToken ? "cls" : options.pooling());
    config.put("positions", "sinusoidal");
    if (map.has("embeddings/position")) {
      int rows = map.size("embeddings/position", 2, 0);
      config.put("positions", "learned", "maxLength", hasClassToken ? rows - 1 : rows);
    }
    if (JaxAttention.isGiven(options)) {
      config.put("attention", JaxAttention.over(null, false, map));
    }
    return map.finish(config.build(map.options.config()));
  }

  private static void putPooling(ConfigBuilder config, WeightMap map, String given) {
    String pooling = given;
    if (map.has("classifier/hidden_0/kernel")) {
      int in = map.size("classifier/hidden_0/kernel", 2, 0);
      int width = map.size("embeddings/token", 2, 1);
      int hidden = map.size("classifier/hidden_0/kernel", 2, 1);
      int classes = map.size("classifier/logits/kernel", 2, 1);
      config.put("classes", classes, "classifierSizes", List.of(hidden));
      if (in != width && in % width == 0) {
        pooling = "flatten";
        config.put("maxLength", in / width);
      } else if (pooling == null) {
        pooling = "mean";
        map.note("pooling is not in the file: the mean, unless another pooling is given");
      }
    } else {
      config.put("task", "encoder", "classes", 0, "classifierSizes", List.of());
    }
    if (pooling != null) {
      config.put("pooling", pooling);
    }
  }
}
