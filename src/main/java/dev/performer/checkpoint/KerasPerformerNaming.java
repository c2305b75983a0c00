package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Transformers that people write with Keras layers and number themselves: {@code favor_0} (Model
 * Garden's KernelAttention) or {@code mha_0} (Keras' softmax attention), {@code ff1_0}, {@code
 * ln_a_0} and so on, norms after each part.
 */
final class KerasPerformerNaming implements NamingScheme {
  private static final Pattern ATTENTION =
      Pattern.compile(
          "(?:.*/)?(favor|mha)_(\\d{1,6})/(query|key|value|attention_output)/(kernel|bias)");
  private static final Pattern BLOCK =
      Pattern.compile("(?:.*/)?(ff1|ff2|ln_a|ln_b|ln1|ln2)_(\\d{1,6})/(kernel|bias|gamma|beta)");
  private static final Pattern HEAD =
      Pattern.compile("(?:.*/)?(lm_head|class_head|head)/(kernel|bias)");

  private static final Map<String, String> PLACES =
      Map.of(
          "ff1", "mlp/in",
          "ff2", "mlp/out",
          "ln_a", "attention_norm",
          "ln1", "attention_norm",
          "ln_b", "mlp_norm",
          "ln2", "mlp_norm",
          "lm_head", "head/logits",
          "class_head", "classifier/logits",
          "head", "classifier/logits");

  private static final Map<String, String> TABLES =
      Map.of(
          "aa_embedding/embeddings", "embeddings/token",
          "embed/tok/embeddings", "embeddings/token",
          "position/table", "embeddings/position",
          "embed/pos/embeddings", "embeddings/position");

  @Override
  public String label() {
    return "Keras layers";
  }

  private static Map<String, String> names(WeightFile file) {
    Map<String, String> names = new TreeMap<>();
    file.tensors().keySet().forEach(tensor -> names.put(tensor, file.variable(tensor)));
    return names;
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return names(file).values().stream().anyMatch(name -> ATTENTION.matcher(name).matches());
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    WeightMap map = new WeightMap(file);
    Map<String, String> names = names(file);
    names.forEach((tensor, name) -> place(map, tensor, name));
    boolean isKernel = names.values().stream().anyMatch(name -> name.matches("(.*/)?favor_.*"));
    boolean hasTokens = map.has("head/logits/kernel");
    boolean hasClasses = map.has("classifier/logits/kernel");
    JsonNode near = NeighbourConfig.near(file.path());
    boolean isCausal =
        options.causal() != null
            ? options.causal()
            : options.window() != null || near.path("causal").asBoolean(false);
    ConfigBuilder builder =
        new ConfigBuilder(file, isKernel ? "kernel-encoder" : "bert")
            .putSizes(map)
            .putHeads(map)
            .put(
                "task",
                hasTokens
                    ? isCausal ? "causal-lm" : "masked-lm"
                    : hasClasses ? "classification" : "encoder")
            .put("activation", "gelu-erf")
            .put(
                "normalization",
                Map.of(
                    "position",
                    Boolean.TRUE.equals(options.normFirst()) ? "pre" : "post",
                    "epsilon",
                    1e-6,
                    "embeddings",
                    false,
                    "last",
                    false))
            .put("attentionBias", map.has("layer_0/attention/query/bias"))
            .put("padId", isKernel ? 0 : null)
            .put("tiedOutput", false)
            .put("headTransform", false)
            .put("pooler", false)
            .put("pooling", "mean")
            .put("classes", hasClasses ? map.size("classifier/logits/kernel", 2, 1) : 0)
            .put("dropout", Map.of("embeddings", 0, "residual", 0, "attention", 0, "mlp", 0.1));
    if (isKernel) {
      ModelGardenConfig config =
          new ModelGardenConfig(file, java.util.List.of("kernel_attention"), options, map);
      builder.putAttention(config.attention(map.layers()));
    }
    map.note(
        ("Keras keeps no graph in weights: assumed norms %s each part, epsilon 1e-6, gelu"
                + " (erf)%s")
            .formatted(
                Boolean.TRUE.equals(options.normFirst()) ? "before" : "after",
                isKernel ? ", padding token 0" : ", no padding"));
    return map.finish(label(), builder.config(options), options.allowMissing());
  }

  private static void place(WeightMap map, String tensor, String name) {
    TABLES.forEach(
        (suffix, table) -> {
          if (name.equals(suffix) || name.endsWith("/" + suffix)) {
            map.put(table, tensor, Layout.SAME);
          }
        });
    Matcher attention = ATTENTION.matcher(name);
    Matcher block = BLOCK.matcher(name);
    Matcher head = HEAD.matcher(name);
    if (attention.matches()) {
      String part = attention.group(3).equals("attention_output") ? "output" : attention.group(3);
      map.put(
          "layer_%d/attention/%s/%s"
              .formatted(Integer.parseInt(attention.group(2)), part, attention.group(4)),
          tensor,
          Layout.SAME);
    } else if (block.matches()) {
      map.put(
          "layer_%d/%s/%s"
              .formatted(
                  Integer.parseInt(block.group(2)),
                  PLACES.get(block.group(1)),
                  weight(block.group(3))),
          tensor,
          Layout.SAME);
    } else if (head.matches()) {
      map.put(PLACES.get(head.group(1)) + "/" + head.group(2), tensor, Layout.SAME);
    }
  }

  private static String weight(String keras) {
    return switch (keras) {
      case "gamma" -> "scale";
      case "beta" -> "bias";
      default -> keras;
    };
  }
}
