package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Map;
import java.util.TreeMap;

/**
 * BERT as Hugging Face's transformers name it, with or without {@code bert.} in front: softmax
 * attention, which a later step may turn into FAVOR+. Heads are not in the file: {@code
 * config.json} beside it has them.
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

  private static final String DECODER = "cls.predictions.decoder.";

  private static final Map<String, String> ACTIVATIONS =
      Map.of(
          "gelu", "gelu-erf",
          "gelu_python", "gelu-erf",
          "gelu_new", "gelu-tanh",
          "gelu_fast", "gelu-tanh",
          "gelu_pytorch_tanh", "gelu-tanh",
          "relu", "relu",
          "silu", "silu",
          "swish", "silu",
          "tanh", "tanh");

  @Override
  public String label() {
    return "Hugging Face BERT";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return NAMES.knows(file.tensors().keySet(), "layer_\\d+/attention/query/kernel");
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    WeightMap map = new WeightMap(file);
    file.tensors().keySet().forEach(tensor -> place(map, tensor));
    boolean isMaskedLm = map.has("head/transform/kernel") || map.has("head/logits/bias");
    boolean isTied = placeDecoder(file, map);
    boolean hasClassifier = map.has("classifier/logits/kernel");
    boolean hasPooler = map.has("pooler/kernel");
    JsonNode near = NeighbourConfig.of(file.path());
    ConfigBuilder config =
        new ConfigBuilder("bert", map)
            .put("task", isMaskedLm ? "masked-lm" : hasClassifier ? "classification" : "encoder")
            .put("heads", heads(map, near, options))
            .put("headSize", 0)
            .put("tiedOutput", isMaskedLm && isTied)
            .put("headTransform", isMaskedLm)
            .put("pooler", hasPooler)
            .put("pooling", hasPooler || hasClassifier ? "cls" : "mean")
            .put("classes", hasClassifier ? map.size("classifier/logits/kernel", 2, 1) : 0);
    putNear(config, map, near);
    return map.finish(label(), config.build(options.config()), options);
  }

  private static String plain(String tensor) {
    return tensor.startsWith("bert.") ? tensor.substring(5) : tensor;
  }

  private static void place(WeightMap map, String tensor) {
    String name = plain(tensor);
    if (name.matches("embeddings\\.(position|token_type)_ids")) {
      map.ignore(tensor);
    } else if (name.startsWith("cls.seq_relationship.")) {
      map.ignore(tensor);
      map.note(tensor + " was left out: it predicts the next sentence");
    } else if (name.startsWith(DECODER)) {
      map.ignore(tensor); // see placeDecoder
    } else {
      NAMES.place(map, tensor, tensor);
    }
  }

  /** The decoder repeats the token table and the bias; only where it does not it is its own. */
  private static boolean placeDecoder(WeightFile file, WeightMap map) {
    Map<String, String> tensors = new TreeMap<>();
    file.tensors().keySet().forEach(tensor -> tensors.put(plain(tensor), tensor));
    String bias = tensors.get(DECODER + "bias");
    if (bias != null && !map.has("head/logits/bias")) {
      map.put("head/logits/bias", bias, Layout.SAME);
    }
    String kernel = tensors.get(DECODER + "weight");
    String tokens = tensors.get("embeddings.word_embeddings.weight");
    require(tokens != null, "%s has no embeddings.word_embeddings.weight", map.path());
    boolean isTied = kernel == null || file.read(kernel).equals(file.read(tokens));
    if (!isTied) {
      map.put("head/logits/kernel", kernel, Layout.LINEAR);
    }
    return isTied;
  }

  private static int heads(WeightMap map, JsonNode near, ImportOptions options) {
    if (options.heads() != null) {
      return options.heads();
    }
    JsonNode heads = near.path("num_attention_heads");
    if (!heads.canConvertToInt() || !heads.isIntegralNumber()) {
      throw new PerformerException(
              "%s: the number of heads is not in the file; put its config.json beside it, or give their number"
                  .formatted(map.path()))
          .settledBy("heads");
    }
    return heads.intValue();
  }

  private static void putNear(ConfigBuilder config, WeightMap map, JsonNode near) {
    String activation = near.path("hidden_act").asText("gelu");
    require(
        ACTIVATIONS.containsKey(activation),
        "%s: config.json has hidden_act %s; expected one of %s",
        map.path(),
        activation,
        ACTIVATIONS.keySet().stream().sorted().toList());
    String positions = near.path("position_embedding_type").asText("absolute");
    boolean isDecoder = near.path("is_decoder").asBoolean(false);
    require(
        positions.equals("absolute") && !isDecoder,
        "%s: config.json has position_embedding_type %s%s; only encoders with absolute positions"
            + " can be expressed",
        map.path(),
        positions,
        isDecoder ? " and is_decoder" : "");
    JsonNode pad = near.path("pad_token_id");
    config
        .put("activation", ACTIVATIONS.get(activation))
        .put("normalization", Map.of("epsilon", near.path("layer_norm_eps").asDouble(1e-12)))
        .put("padId", pad.isIntegralNumber() ? pad.intValue() : 0);
    if (near.isEmpty()) {
      map.note(
          "no config.json beside the weights: assumed gelu (erf), epsilon 1e-12, padding token 0");
    }
    require(map.has("embeddings/position"), "%s has no table of positions", map.path());
  }
}
