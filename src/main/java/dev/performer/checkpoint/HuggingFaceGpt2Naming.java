package dev.performer.checkpoint;

import dev.performer.checkpoint.HuggingFace.Family;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.model.PerformerConfig.DropoutRates;
import java.util.Set;

/**
 * GPT-2 as Hugging Face's transformers name it. Kernels are {@code [in, out]} in PyTorch too, and
 * queries, keys and values are thirds of one; a factor of the scores becomes one of the queries.
 */
final class HuggingFaceGpt2Naming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.JOINED,
          "(?:transformer\\.)?",
          """
          wte -> embeddings/token
          wpe -> embeddings/position
          h.{i}.ln_1 -> layer_{i}/attention_norm
          h.{i}.attn.c_attn -> layer_{i}/attention/all
          h.{i}.attn.c_proj -> layer_{i}/attention/output
          h.{i}.ln_2 -> layer_{i}/mlp_norm
          h.{i}.mlp.c_fc -> layer_{i}/mlp/in
          h.{i}.mlp.c_proj -> layer_{i}/mlp/out
          ln_f -> final_norm
          """);
  private static final Family FAMILY =
      new Family(
          Set.of("gpt2"),
          "transformer|lm_head|score|multiple_choice_head",
          NAMES,
          "layer_\\d+/attention/all/kernel");

  @Override
  public boolean recognizes(WeightFile file) {
    return FAMILY.recognizes(file, true);
  }

  @Override
  public ModelWeights map(WeightMap map) {
    HuggingFace from = new HuggingFace(map, FAMILY);
    from.place("(transformer\\.)?h\\.\\d+\\.attn\\.(masked_)?bias");
    for (String head : new String[] {"score", "multiple_choice_head"}) {
      boolean isOther = from.hasBelow(head) && !"encoder".equals(map.options.task());
      map.checkGiven(
          "task",
          !isOther,
          "it has %s, a head that no task here has; as task encoder it is read without",
          head);
    }
    String cross = "config.json has add_cross_attention, which no decoder alone has here";
    map.check(!from.config.path("add_cross_attention").asBoolean(), cross);
    boolean isTied = from.placeDecoder("lm_head");
    int heads = from.heads("n_head");
    for (int i = 0; i < map.layers(); i++) {
      splitAttention(map, from, i, heads);
    }
    map.zeros = "head/logits/bias";
    double dropout = from.number("resid_pdrop", 0.1);
    var rates =
        new DropoutRates(
            from.number("embd_pdrop", 0.1), from.number("attn_pdrop", 0.1), 0, dropout, 0.1);
    var config = new ConfigBuilder("bert", map);
    config
        .put("task", "causal-lm", "heads", heads, "headSize", 0, "padId", null)
        .put("activation", from.activation("activation_function", "gelu_new"))
        .put("normalization.position", "pre", "normalization.embeddings", false)
        .put("normalization.last", true)
        .put("normalization.epsilon", from.number("layer_norm_epsilon", 1e-5))
        .put("tiedOutput", isTied, "headTransform", false, "pooler", false, "pooling", "mean")
        .put("dropout", rates);
    return map.finish(config.build(map.options.config()));
  }

  private static void splitAttention(WeightMap map, HuggingFace from, int layer, int heads) {
    String in = "layer_" + layer + "/attention/";
    double factor = 1;
    if (!from.config.path("scale_attn_weights").asBoolean(true)) {
      factor = Math.sqrt(map.size("embeddings/token", 2, 1) / heads);
    }
    if (from.config.path("scale_attn_by_inverse_layer_idx").asBoolean()) {
      factor /= layer + 1;
    }
    for (String weight : new String[] {"/kernel", "/bias"}) {
      if (map.has(in + "all" + weight)) {
        String[] parts = {in + "query" + weight, in + "key" + weight, in + "value" + weight};
        map.split(in + "all" + weight, factor, parts);
      }
    }
  }
}
