package dev.performer.checkpoint;

import dev.performer.checkpoint.HuggingFace.Family;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.List;
import java.util.Set;

/** DistilBERT as Hugging Face's transformers name it: no token types and no pooler. */
final class HuggingFaceDistilBertNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.LINEAR,
          "(?:distilbert\\.)?",
          """
          embeddings.word_embeddings -> embeddings/token
          embeddings.position_embeddings -> embeddings/position
          embeddings.LayerNorm -> embeddings/norm
          transformer.layer.{i}.attention.q_lin -> layer_{i}/attention/query
          transformer.layer.{i}.attention.k_lin -> layer_{i}/attention/key
          transformer.layer.{i}.attention.v_lin -> layer_{i}/attention/value
          transformer.layer.{i}.attention.out_lin -> layer_{i}/attention/output
          transformer.layer.{i}.sa_layer_norm -> layer_{i}/attention_norm
          transformer.layer.{i}.ffn.lin1 -> layer_{i}/mlp/in
          transformer.layer.{i}.ffn.lin2 -> layer_{i}/mlp/out
          transformer.layer.{i}.output_layer_norm -> layer_{i}/mlp_norm
          vocab_transform -> head/transform
          vocab_layer_norm -> head/norm
          vocab_projector -> head/logits
          pre_classifier -> classifier/hidden_0
          classifier -> classifier/logits
          """);
  private static final Family FAMILY =
      new Family(
          Set.of("distilbert"),
          "distilbert|vocab_transform|vocab_layer_norm|vocab_projector|pre_classifier|classifier",
          NAMES,
          "layer_\\d+/attention/query/kernel");

  @Override
  public boolean recognizes(WeightFile file) {
    return FAMILY.recognizes(file, true);
  }

  @Override
  public ModelWeights map(WeightMap map) {
    HuggingFace from = new HuggingFace(map, FAMILY);
    from.place("vocab_projector\\.weight");
    boolean isMaskedLm = map.has("head/transform/kernel");
    boolean isTied = from.placeDecoder("vocab_projector");
    var config = new ConfigBuilder("bert", map);
    config
        .put("task", isMaskedLm ? "masked-lm" : "encoder", "pooler", false, "pooling", "cls")
        .put("tiedOutput", isMaskedLm && isTied, "headTransform", isMaskedLm)
        .put("heads", from.heads("n_heads"), "headSize", 0, "padId", from.padId(0))
        .put("activation", from.activation("activation", "gelu"));
    if (map.has("classifier/logits/kernel")) {
      boolean isOfTexts = map.has("classifier/hidden_0/kernel");
      map.checkGiven("task", isOfTexts, HuggingFace.CLASSIFIER_OF_TOKENS);
      int hidden = map.size("classifier/hidden_0/kernel", 2, 1);
      from.putClassifier(config.put("classifierSizes", List.of(hidden)));
    }
    double attention = from.number("attention_dropout", 0.1);
    from.putDropout(config, from.number("dropout", 0.1), attention, "seq_classif_dropout");
    return map.finish(config.build(map.options.config()));
  }
}
