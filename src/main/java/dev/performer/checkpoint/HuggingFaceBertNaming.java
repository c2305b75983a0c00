package dev.performer.checkpoint;

import dev.performer.checkpoint.HuggingFace.Family;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Set;

/**
 * BERT as Hugging Face's transformers name it, with or without {@code bert.} in front. Heads are
 * not in the file: {@code config.json} beside it has them.
 */
final class HuggingFaceBertNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.LINEAR,
          "(?:bert\\.)?",
          HuggingFace.BERT_ENCODER
              + """
              cls.predictions -> head/logits
              cls.predictions.transform.dense -> head/transform
              cls.predictions.transform.LayerNorm -> head/norm
              classifier -> classifier/logits
              """);
  private static final Family FAMILY =
      new Family(Set.of("bert"), "bert|cls|classifier", NAMES, "layer_\\d+/attention/query/kernel");

  /** The decoder is looked at later. */
  private static final String UNUSED =
      "(bert\\.)?embeddings\\.(position|token_type)_ids"
          + "|cls\\.(seq_relationship|predictions\\.decoder)\\..*";

  /** Names without {@code bert.} fit RoBERTa, too, which has one type of tokens only. */
  @Override
  public boolean recognizes(WeightFile file) {
    WeightFile.Info types = file.tensors().get("embeddings.token_type_embeddings.weight");
    boolean isBert = types != null && types.shape().length == 2 && types.shape()[0] > 1;
    return FAMILY.recognizes(file, isBert);
  }

  @Override
  public ModelWeights map(WeightMap map) {
    HuggingFace from = new HuggingFace(map, FAMILY);
    from.place(UNUSED);
    if (from.hasBelow("cls.seq_relationship")) {
      map.note("cls.seq_relationship was left out: it predicts the next sentence");
    }
    boolean isMaskedLm = map.has("head/transform/kernel") || map.has("head/logits/bias");
    boolean isTied = from.placeDecoder("cls.predictions.decoder");
    boolean hasPooler = map.has("pooler/kernel");
    var config = new ConfigBuilder("bert", map);
    from.putBert(config, 1e-12, 0);
    config
        .put("task", isMaskedLm ? "masked-lm" : "encoder", "pooler", hasPooler)
        .put("tiedOutput", isMaskedLm && isTied, "headTransform", isMaskedLm)
        .put("pooling", hasPooler ? "cls" : "mean");
    if (map.has("classifier/logits/kernel")) {
      map.checkGiven("task", hasPooler, HuggingFace.CLASSIFIER_OF_TOKENS);
      from.putClassifier(config);
    }
    return map.finish(config.build(map.options.config()));
  }
}
