package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Map;
import java.util.TreeMap;

/**
 * BERT as Hugging Face's transformers name it, with or without {@code bert.} in front. Heads are
 * not in the file: {@code config.json} beside it has them.
 */
final class HuggingFaceBertNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.LINEAR,
          "(?:bert\\.)?",
          """
          embeddings.word_embeddings -> embeddings/token
          embeddings.position_embeddings -> embeddings/position
          embeddings.token_type_embeddings -> embeddings/type
          embeddings.LayerNorm -> embeddings/norm
          encoder.layer.{i}.attention.self.(query|key|value) -> layer_{i}/attention/$2
          encoder.layer.{i}.attention.output.dense -> layer_{i}/attention/output
          encoder.layer.{i}.attention.output.LayerNorm -> layer_{i}/attention_norm
          encoder.layer.{i}.intermediate.dense -> layer_{i}/mlp/in
          encoder.layer.{i}.output.dense -> layer_{i}/mlp/out
          encoder.layer.{i}.output.LayerNorm -> layer_{i}/mlp_norm
          pooler.dense -> pooler
          cls.predictions -> head/logits
          cls.predictions.transform.dense -> head/transform
          cls.predictions.transform.LayerNorm -> head/norm
          classifier -> classifier/logits
          """);

  /** The decoder is looked at later. */
  private static final String UNUSED =
      "(bert\\.)?(embeddings\\.(position|token_type)_ids|cls\\.(seq_relationship|predictions\\.decoder)\\..*)";

  @Override
  public boolean recognizes(WeightFile file) {
    return NAMES.knows(file.tensors().keySet(), "layer_\\d+/attention/query/kernel");
  }

  @Override
  public ModelWeights map(WeightMap map) {
    map.file.tensors().keySet().forEach(tensor -> place(map, tensor));
    boolean isMaskedLm = map.has("head/transform/kernel") || map.has("head/logits/bias");
    boolean isTied = placeDecoder(map.file, map);
    boolean hasClassifier = map.has("classifier/logits/kernel");
    boolean hasPooler = map.has("pooler/kernel");
    JsonNode near = map.file.neighbourConfig();
    String task = isMaskedLm ? "masked-lm" : hasClassifier ? "classification" : "encoder";
    int classes = hasClassifier ? map.size("classifier/logits/kernel", 2, 1) : 0;
    var config = new ConfigBuilder("bert", map).put("task", task);
    config
        .put("heads", heads(map, near), "headSize", 0)
        .put("tiedOutput", isMaskedLm && isTied, "headTransform", isMaskedLm)
        .put("pooler", hasPooler, "pooling", hasPooler || hasClassifier ? "cls" : "mean")
        .put("classes", classes);
    putNear(config, map, near);
    return map.finish(config.build(map.options.config()));
  }

  private static void place(WeightMap map, String tensor) {
    if (tensor.contains("cls.seq_relationship.")) {
      map.note(tensor + " was left out: it predicts the next sentence");
    }
    if (tensor.matches(UNUSED)) {
      map.ignore(tensor);
    } else {
      NAMES.place(map, tensor, tensor);
    }
  }

  /** The decoder repeats the token table and the bias; only where it does not it is its own. */
  private static boolean placeDecoder(WeightFile file, WeightMap map) {
    Map<String, String> tensors = new TreeMap<>();
    file.tensors().keySet().forEach(t -> tensors.put(t.replaceFirst("^bert\\.", ""), t));
    String bias = tensors.get("cls.predictions.decoder.bias");
    if (bias != null && !map.has("head/logits/bias")) {
      map.put("head/logits/bias", bias, Layout.SAME);
    }
    String kernel = tensors.get("cls.predictions.decoder.weight");
    String tokens = tensors.get("embeddings.word_embeddings.weight");
    map.check(tokens != null, "there is no embeddings.word_embeddings.weight");
    boolean isTied = kernel == null || file.read(kernel).equals(file.read(tokens));
    if (!isTied) {
      map.put("head/logits/kernel", kernel, Layout.LINEAR);
    }
    return isTied;
  }

  private static int heads(WeightMap map, JsonNode near) {
    Integer given = map.options.heads();
    JsonNode stored = near.path("num_attention_heads");
    String unknown =
        "the number of heads is not in the file; put its config.json beside it, or give it";
    map.checkGiven("heads", given != null || stored.isInt(), unknown);
    return given != null ? given : stored.intValue();
  }

  private static void putNear(ConfigBuilder config, WeightMap map, JsonNode near) {
    String activation = near.path("hidden_act").asText("gelu");
    String ours =
        switch (activation) {
          case "gelu", "gelu_python" -> "gelu-erf";
          case "gelu_new", "gelu_fast", "gelu_pytorch_tanh" -> "gelu-tanh";
          case "relu", "silu", "tanh" -> activation;
          case "swish" -> "silu";
          default -> throw map.wrong("config.json has hidden_act %s: not known here", activation);
        };
    String positions = near.path("position_embedding_type").asText("absolute");
    boolean isAbsolute = positions.equals("absolute") && map.has("embeddings/position");
    map.check(isAbsolute, "its positions are %s; only tables of positions are known", positions);
    map.check(
        !near.path("is_decoder").asBoolean(), "config.json has is_decoder: no encoder has it");
    double epsilon = near.path("layer_norm_eps").asDouble(1e-12);
    config.put("activation", ours, "normalization.epsilon", epsilon);
    JsonNode pad = near.path("pad_token_id");
    config.put("padId", pad.isIntegralNumber() ? pad.intValue() : 0);
    if (near.isEmpty()) {
      map.note("no config.json beside it: assumed gelu (erf), epsilon 1e-12, padding token 0");
    }
  }
}
