package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Arrays;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * BERT as Hugging Face's transformers name it, with or without {@code bert.} in front: softmax
 * attention, which a later step may turn into FAVOR+. Heads are not in the file: {@code
 * config.json} beside it has them.
 */
final class HuggingFaceBertNaming implements NamingScheme {
  private static final Pattern LAYER = Pattern.compile("encoder\\.layer\\.(\\d{1,6})\\.(.+)");

  private static final Map<String, String> BLOCK =
      Map.of(
          "attention.self.query", "attention/query",
          "attention.self.key", "attention/key",
          "attention.self.value", "attention/value",
          "attention.output.dense", "attention/output",
          "attention.output.LayerNorm", "attention_norm",
          "intermediate.dense", "mlp/in",
          "output.dense", "mlp/out",
          "output.LayerNorm", "mlp_norm");

  private static final Map<String, String> REST =
      Map.of(
          "embeddings.LayerNorm", "embeddings/norm",
          "pooler.dense", "pooler",
          "cls.predictions.transform.dense", "head/transform",
          "cls.predictions.transform.LayerNorm", "head/norm",
          "classifier", "classifier/logits");

  private static final Map<String, String> TABLES =
      Map.of(
          "embeddings.word_embeddings.weight", "embeddings/token",
          "embeddings.position_embeddings.weight", "embeddings/position",
          "embeddings.token_type_embeddings.weight", "embeddings/type");

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
    return file.tensors().keySet().stream()
        .map(HuggingFaceBertNaming::plain)
        .anyMatch(
            name -> name.matches("encoder\\.layer\\.\\d+\\.attention\\.self\\.query\\.weight"));
  }

  private static String plain(String tensor) {
    return tensor.startsWith("bert.") ? tensor.substring(5) : tensor;
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    WeightMap map = new WeightMap(file);
    for (String tensor : file.tensors().keySet()) {
      place(map, tensor, plain(tensor));
    }
    JsonNode config = NeighbourConfig.of(file.path());
    boolean isMaskedLm = map.has("head/transform/kernel") || map.has("head/logits/bias");
    boolean isTied = placeDecoder(file, map);
    boolean hasClassifier = map.has("classifier/logits/kernel");
    ConfigBuilder builder = new ConfigBuilder(file, "bert").putSizes(map);
    builder
        .put("task", isMaskedLm ? "masked-lm" : hasClassifier ? "classification" : "encoder")
        .put("heads", heads(file, config, options))
        .put("headSize", 0)
        .put("tiedOutput", isMaskedLm && isTied)
        .put("headTransform", isMaskedLm)
        .put("pooler", map.has("pooler/kernel"))
        .put("pooling", map.has("pooler/kernel") || hasClassifier ? "cls" : "mean")
        .put("classes", hasClassifier ? map.size("classifier/logits/kernel", 2, 1) : 0);
    putConfig(builder, map, config, file);
    return map.finish(label(), builder.config(options), options.allowMissing());
  }

  private static void place(WeightMap map, String tensor, String name) {
    String table = TABLES.get(name);
    if (table != null) {
      map.put(table, tensor, Layout.SAME);
      return;
    }
    if (name.equals("embeddings.position_ids") || name.equals("embeddings.token_type_ids")) {
      map.ignore(tensor);
      return;
    }
    if (name.startsWith("cls.seq_relationship.")) {
      map.ignore(tensor);
      map.note(tensor + " was left out: it predicts the next sentence");
      return;
    }
    if (name.equals("cls.predictions.bias")) {
      map.put("head/logits/bias", tensor, Layout.SAME);
      return;
    }
    if (name.startsWith("cls.predictions.decoder.")) {
      map.ignore(tensor); // see placeDecoder
      return;
    }
    Matcher layer = LAYER.matcher(name);
    boolean isBlock = layer.matches();
    String rest = isBlock ? layer.group(2) : name;
    int dot = rest.lastIndexOf('.');
    String place = dot < 0 ? null : (isBlock ? BLOCK : REST).get(rest.substring(0, dot));
    if (place == null) {
      return;
    }
    boolean isNorm = place.endsWith("norm");
    String weight =
        switch (rest.substring(dot + 1)) {
          case "weight" -> isNorm ? "scale" : "kernel";
          case "gamma" -> isNorm ? "scale" : null;
          case "bias" -> "bias";
          case "beta" -> isNorm ? "bias" : null;
          default -> null;
        };
    if (weight != null) {
      String prefix = isBlock ? "layer_" + Integer.parseInt(layer.group(1)) + "/" : "";
      map.put(prefix + place + "/" + weight, tensor, Layout.LINEAR);
    }
  }

  /** The decoder repeats the token table and the bias; only where it does not it is its own. */
  private static boolean placeDecoder(WeightFile file, WeightMap map) {
    boolean isTied = true;
    for (String tensor : file.tensors().keySet()) {
      switch (plain(tensor)) {
        case "cls.predictions.decoder.bias" -> {
          if (!map.has("head/logits/bias")) {
            map.put("head/logits/bias", tensor, Layout.SAME);
          }
        }
        case "cls.predictions.decoder.weight" -> {
          if (!file.read(tensor).equals(file.read(tokens(file)))) {
            isTied = false;
            map.put("head/logits/kernel", tensor, Layout.LINEAR);
          }
        }
        default -> {}
      }
    }
    return isTied;
  }

  private static String tokens(WeightFile file) {
    return file.tensors().keySet().stream()
        .filter(tensor -> plain(tensor).equals("embeddings.word_embeddings.weight"))
        .findFirst()
        .orElseThrow(
            () ->
                new PerformerException(file.path() + " has no embeddings.word_embeddings.weight"));
  }

  private static int heads(WeightFile file, JsonNode config, ImportOptions options) {
    if (options.heads() != null) {
      return options.heads();
    }
    JsonNode heads = config.path("num_attention_heads");
    if (!heads.canConvertToInt() || !heads.isIntegralNumber()) {
      throw new PerformerException(
              file.path()
                  + ": the number of heads is not in the file; put its config.json beside it, or give"
                  + " their number")
          .settledBy("heads");
    }
    return heads.intValue();
  }

  private static void putConfig(
      ConfigBuilder builder, WeightMap map, JsonNode config, WeightFile file) {
    String activation = config.path("hidden_act").asText("gelu");
    if (!ACTIVATIONS.containsKey(activation)) {
      throw new PerformerException(
          "%s: config.json has hidden_act %s; expected one of %s"
              .formatted(file.path(), activation, ACTIVATIONS.keySet().stream().sorted().toList()));
    }
    String positions = config.path("position_embedding_type").asText("absolute");
    if (!positions.equals("absolute") || config.path("is_decoder").asBoolean(false)) {
      throw new PerformerException(
          ("%s: config.json has position_embedding_type %s%s; only encoders with absolute"
                  + " positions can be expressed")
              .formatted(
                  file.path(),
                  positions,
                  config.path("is_decoder").asBoolean(false) ? " and is_decoder" : ""));
    }
    builder.put("activation", ACTIVATIONS.get(activation));
    double epsilon = config.path("layer_norm_eps").asDouble(1e-12);
    builder.put("normalization", Map.of("epsilon", epsilon));
    JsonNode pad = config.path("pad_token_id");
    builder.put("padId", pad.isIntegralNumber() ? pad.intValue() : 0);
    if (config.isEmpty()) {
      map.note(
          "no config.json beside the weights: assumed gelu (erf), epsilon 1e-12, padding token 0");
    }
    if (!map.has("embeddings/position")) {
      throw new PerformerException(
          file.path()
              + " has no table of positions; of its tensors, the first are "
              + Arrays.toString(file.tensors().keySet().stream().limit(5).toArray()));
    }
  }
}
