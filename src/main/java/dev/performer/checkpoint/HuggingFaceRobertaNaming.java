package dev.performer.checkpoint;

import dev.performer.checkpoint.HuggingFace.Family;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Set;

/**
 * RoBERTa, XLM-RoBERTa and CamemBERT as Hugging Face's transformers name them. Their blocks are
 * BERT's; positions are counted behind those of padding, and the heads are others.
 */
final class HuggingFaceRobertaNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.LINEAR,
          "(?:roberta\\.)?",
          HuggingFace.BERT_ENCODER
              + """
              lm_head -> head/logits
              lm_head.dense -> head/transform
              lm_head.layer_norm -> head/norm
              classifier.dense -> pooler
              classifier.out_proj -> classifier/logits
              """);
  private static final Family FAMILY =
      new Family(
          Set.of("camembert", "roberta", "xlm-roberta"),
          "roberta|lm_head|classifier",
          NAMES,
          "layer_\\d+/attention/query/kernel");
  private static final int PAD = 1;

  @Override
  public boolean recognizes(WeightFile file) {
    return FAMILY.recognizes(file, false);
  }

  @Override
  public ModelWeights map(WeightMap map) {
    HuggingFace from = new HuggingFace(map, FAMILY);
    from.place("(roberta\\.)?embeddings\\.position_ids|lm_head\\.decoder\\..*");
    boolean isMaskedLm = map.has("head/transform/kernel");
    boolean isTied = from.placeDecoder("lm_head.decoder");
    boolean hasPooler = map.has("pooler/kernel");
    var config = new ConfigBuilder("bert", map);
    from.putBert(config, 1e-5, PAD);
    from.putPositionsBehindPadding(config, PAD);
    config
        .put("task", isMaskedLm ? "masked-lm" : "encoder", "headActivation", "gelu-erf")
        .put("tiedOutput", isMaskedLm && isTied, "headTransform", isMaskedLm)
        .put("pooler", hasPooler, "pooling", hasPooler ? "cls" : "mean");
    if (map.has("classifier/logits/kernel")) {
      from.putClassifier(config);
    }
    return map.finish(config.build(map.options.config()));
  }
}
