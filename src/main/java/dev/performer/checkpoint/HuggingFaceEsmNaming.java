package dev.performer.checkpoint;

import dev.performer.checkpoint.HuggingFace.Family;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.model.MaskRescaling;
import dev.performer.model.PerformerConfig.DropoutRates;
import dev.performer.model.TextEmbedding;
import dev.performer.model.TextEmbedding.Pooling;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * ESM-2, and ESM-1b with its table of positions, as Hugging Face's transformers name them. Parts
 * are called as RoBERTa's, but norms stand before attention and MLP.
 */
final class HuggingFaceEsmNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.LINEAR,
          "(?:esm\\.)?",
          """
          embeddings.word_embeddings -> embeddings/token
          embeddings.position_embeddings -> embeddings/position
          embeddings.layer_norm -> embeddings/norm
          encoder.layer.{i}.attention.self.(query|key|value) -> layer_{i}/attention/$2
          encoder.layer.{i}.attention.output.dense -> layer_{i}/attention/output
          encoder.layer.{i}.attention.LayerNorm -> layer_{i}/attention_norm
          encoder.layer.{i}.intermediate.dense -> layer_{i}/mlp/in
          encoder.layer.{i}.output.dense -> layer_{i}/mlp/out
          encoder.layer.{i}.LayerNorm -> layer_{i}/mlp_norm
          encoder.emb_layer_norm_after -> final_norm
          pooler.dense -> pooler
          lm_head -> head/logits
          lm_head.dense -> head/transform
          lm_head.layer_norm -> head/norm
          classifier.dense -> pooler
          classifier.out_proj -> classifier/logits
          """);
  private static final Family FAMILY =
      new Family(Set.of("esm"), "esm|lm_head|classifier", NAMES, "layer_\\d+/attention_norm/scale");
  private static final String FREQUENCIES = "(esm\\.)?(.*\\.)?rotary_embeddings\\.inv_freq";
  private static final String CONTACTS = "(esm\\.)?contact_head";
  private static final String UNUSED =
      FREQUENCIES
          + "|(esm\\.)?embeddings\\.position_ids|lm_head\\.decoder\\..*|"
          + CONTACTS
          + "\\..*";
  private static final int PAD = 1;
  private static final int TOKENS = 33;
  private static final int MASK = 32;
  private static final double MASKED = 0.15 * 0.8; // of all tokens, when Meta trained
  private static final double BASE = 10000;
  private static final double ROUNDING = 2e-6; // of frequencies in float32

  @Override
  public boolean recognizes(WeightFile file) {
    return FAMILY.recognizes(file, true);
  }

  @Override
  public ModelWeights map(WeightMap map) {
    HuggingFace from = new HuggingFace(map, FAMILY);
    boolean folds =
        from.config.path("is_folding_model").asBoolean()
            || from.config.path("architectures").path(0).asText().equals("EsmForProteinFolding");
    map.check(
        !folds,
        "its config.json is of ESMFold (is_folding_model), which is not read; its language model alone is");
    boolean isBare = from.config.isEmpty();
    boolean isRotary = isRotary(map, from);
    from.place(UNUSED + (isRotary ? "|(esm\\.)?embeddings\\.position_embeddings\\..*" : ""));
    if (from.hasBelow("esm.contact_head") || from.hasBelow("contact_head")) {
      map.note("contact_head was left out: it predicts contacts from attention");
    }
    boolean isKnown = !isBare || map.size("embeddings/token", 2, 0) == TOKENS;
    map.check(isKnown, "its tokens are not ESM's own %d: put its config.json beside it", TOKENS);
    boolean isMaskedLm = map.has("head/transform/kernel");
    boolean isTied = from.placeDecoder("lm_head.decoder");
    boolean hasPooler = map.has("pooler/kernel");
    var config = new ConfigBuilder("bert", map);
    from.putEncoder(config, isBare ? 1e-5 : 1e-12, PAD);
    double dropout = from.number("hidden_dropout_prob", 0.1);
    double ofWeights = from.number("attention_probs_dropout_prob", 0.1);
    config
        .put(
            "activation",
            "gelu-erf",
            "dropout",
            new DropoutRates(0, ofWeights, 0, dropout, dropout))
        .put("normalization.position", "pre", "normalization.last", true)
        .put("normalization.embeddings", map.has("embeddings/norm/scale"))
        .put("task", isMaskedLm ? "masked-lm" : "encoder")
        .put("tiedOutput", isMaskedLm && isTied, "headTransform", isMaskedLm)
        .put("pooler", hasPooler, "pooling", hasPooler ? "cls" : "mean");
    putPositions(config, map, from, isRotary);
    putRescaling(config, map, from);
    if (map.has("classifier/logits/kernel")) {
      map.checkGiven("task", hasPooler, HuggingFace.CLASSIFIER_OF_TOKENS);
      from.putClassifier(config);
    }
    map.embedding = new TextEmbedding(Pooling.MEAN_INNER, false, null);
    return map.finish(config.build(map.options.config()));
  }

  private static boolean isRotary(WeightMap map, HuggingFace from) {
    boolean hasTable =
        from.hasBelow("esm.embeddings.position_embeddings")
            || from.hasBelow("embeddings.position_embeddings");
    boolean hasNone = from.config.isEmpty() && (!hasTable || !from.values(FREQUENCIES).isEmpty());
    String positions =
        from.config.path("position_embedding_type").asText(hasNone ? "rotary" : "absolute");
    String other = "config.json has position_embedding_type %s; known are absolute and rotary";
    map.check(positions.matches("absolute|rotary"), other, positions);
    return positions.equals("rotary");
  }

  private static void putPositions(
      ConfigBuilder to, WeightMap map, HuggingFace from, boolean isRotary) {
    if (!isRotary) {
      from.putPositionsBehindPadding(to, PAD);
      return;
    }
    int heads = from.heads("num_attention_heads");
    int size = map.size("embeddings/token", 2, 1) / heads;
    int longest = from.config.path("max_position_embeddings").asInt(1026);
    to.put("positions", "rotary", "maxLength", longest);
    for (String key : new String[] {"rope_scaling", "rope_parameters"}) {
      String kind = from.config.path(key).path("rope_type").asText("default");
      map.check(kind.equals("default"), "config.json has rope_type %s; known is default", kind);
    }
    double base =
        from.config.at("/rope_parameters/rope_theta").asDouble(from.number("rope_theta", BASE));
    List<float[]> stored = from.values(FREQUENCIES);
    List<Double> frequencies = new ArrayList<>();
    if (stored.isEmpty()) {
      IntStream.range(0, size / 2).forEach(i -> frequencies.add(Math.pow(base, -2.0 * i / size)));
    } else {
      float[] first = stored.get(0);
      boolean isOne = stored.stream().allMatch(own -> Arrays.equals(own, first));
      map.check(isOne, "its layers have rotary frequencies that differ, which no model here has");
      String wrong = "rotary_embeddings.inv_freq has %d numbers, expected %d, half of a head";
      map.check(first.length == size / 2, wrong, first.length, size / 2);
      IntStream.range(0, first.length).forEach(i -> frequencies.add((double) first[i]));
    }
    double off =
        IntStream.range(0, frequencies.size())
            .mapToDouble(i -> Math.abs(frequencies.get(i) * Math.pow(BASE, 2.0 * i / size) - 1))
            .max()
            .orElse(0);
    if (off > ROUNDING) {
      to.put("rotaryFrequencies", frequencies);
      map.note("rotary frequencies are the file's, up to %.2g from 10000^(-2i/D)", off);
    }
  }

  private static void putRescaling(ConfigBuilder to, WeightMap map, HuggingFace from) {
    boolean isBare = from.config.isEmpty();
    if (isBare) {
      map.note("token dropout is assumed, with the mask token %d", MASK);
    }
    if (isBare || from.config.path("token_dropout").asBoolean()) {
      int mask = from.config.path("mask_token_id").asInt(isBare ? MASK : -1);
      map.check(mask >= 0, "config.json has token_dropout, but no mask_token_id");
      to.put("maskRescaling", new MaskRescaling(mask, MASKED));
    }
  }
}
