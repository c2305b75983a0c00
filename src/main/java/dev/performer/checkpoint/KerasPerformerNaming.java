package dev.performer.checkpoint;

import dev.performer.checkpoint.WeightMap.Layout;
import java.util.List;
import java.util.Map;

/**
 * Transformers of Keras layers that people number themselves: {@code favor_0} (Model Garden's
 * KernelAttention) or {@code mha_0} (Keras' softmax), {@code ff1_0}, norms after each part.
 */
final class KerasPerformerNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.SAME,
          "(?:.*/)?",
          """
          aa_embedding|embed/tok -> embeddings/token
          position|embed/pos -> embeddings/position
          (?:favor|mha)_{i}/(query|key|value) -> layer_{i}/attention/$2
          (?:favor|mha)_{i}/attention_output -> layer_{i}/attention/output
          (?:ln_a|ln1)_{i} -> layer_{i}/attention_norm
          ff1_{i} -> layer_{i}/mlp/in
          ff2_{i} -> layer_{i}/mlp/out
          (?:ln_b|ln2)_{i} -> layer_{i}/mlp_norm
          lm_head -> head/logits
          class_head|head -> classifier/logits
          """);

  private static List<String> names(WeightFile file) {
    return file.tensors().keySet().stream().map(file::variable).toList();
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return NAMES.knows(names(file), "layer_\\d+/attention/.*");
  }

  @Override
  public ModelWeights map(WeightMap map) {
    WeightFile file = map.file;
    file.tensors().keySet().forEach(t -> NAMES.place(map, t, file.variable(t)));
    boolean isKernel = names(file).stream().anyMatch(name -> name.matches("(.*/)?favor_.*"));
    boolean hasClasses = map.has("classifier/logits/kernel");
    boolean isNormFirst = Boolean.TRUE.equals(map.options.normFirst());
    int classes = hasClasses ? map.size("classifier/logits/kernel", 2, 1) : 0;
    var config = new ConfigBuilder(isKernel ? "kernel-encoder" : "bert", map).putHeads();
    config
        .put("task", task(map), "activation", "gelu-erf")
        .put("normalization.position", isNormFirst ? "pre" : "post")
        .put("normalization.epsilon", 1e-6, "normalization.embeddings", false)
        .put("normalization.last", false, "padId", isKernel ? 0 : null)
        .put("attentionBias", map.has("layer_0/attention/query/bias"))
        .put("tiedOutput", false, "headTransform", false, "pooler", false)
        .put("pooling", "mean", "classes", classes)
        .put("dropout", Map.of("embeddings", 0, "residual", 0, "attention", 0, "mlp", 0.1));
    if (isKernel) {
      var garden = new ModelGardenConfig(List.of("kernel_attention"), map);
      config.put("attention", garden.attention(map.layers()));
    }
    String assumed =
        "Keras keeps no graph in weights: assumed norms %s each part, epsilon 1e-6, gelu (erf), %s";
    map.note(
        assumed, isNormFirst ? "before" : "after", isKernel ? "padding token 0" : "no padding");
    return map.finish(config.build(map.options.config()));
  }

  private static String task(WeightMap map) {
    if (map.has("head/logits/kernel")) {
      boolean isNearCausal = map.file.nearConfig().path("causal").asBoolean(false);
      Boolean given = map.options.favor().causal();
      boolean isCausal = given != null ? given : map.options.window() != null || isNearCausal;
      return isCausal ? "causal-lm" : "masked-lm";
    }
    return map.has("classifier/logits/kernel") ? "classification" : "encoder";
  }
}
