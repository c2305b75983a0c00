package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.data.JsonTokenizer;
import dev.performer.model.PerformerConfig.DropoutRates;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * KerasHub's BERT, RoBERTa, DistilBERT and GPT-2, backbones and tasks, as Keras 3 saves them: by
 * the classes of layers and their numbers. What their code fixes no file holds, such as epsilons.
 */
final class KerasHubNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.SAME,
          "",
          """
          reversible_embedding|token_and_position_embedding/token_embedding -> embeddings/token
          (?:token_and_position_embedding/)?position_embedding -> embeddings/position
          embedding -> embeddings/type
          layer_normalization -> embeddings/norm
          last_normalization -> final_norm
          dense -> pooler
          layer_{i}/_self_attention_layer/(query|key|value)_dense -> layer_{i}/attention/$2
          layer_{i}/_self_attention_layer/output_dense -> layer_{i}/attention/output
          layer_{i}/_self_attention_layer_norm -> layer_{i}/attention_norm
          layer_{i}/_feedforward_intermediate_dense -> layer_{i}/mlp/in
          layer_{i}/_feedforward_output_dense -> layer_{i}/mlp/out
          layer_{i}/_feedforward_layer_norm -> layer_{i}/mlp_norm
          task/masked_lm_head/_intermediate_dense -> head/transform
          task/masked_lm_head/_intermediate_layer_norm -> head/norm
          task/hidden -> classifier/hidden_0
          task/logits -> classifier/logits
          """);
  private static final Pattern CLASS =
      Pattern.compile(
          "(Bert|DistilBert|GPT2|Roberta|XLMRoberta)(Backbone|MaskedLM|TextClassifier|Classifier|CausalLM)");
  private static final Pattern BLOCK =
      Pattern.compile("transformer_(?:en|de)coder(?:_(\\d{1,6}))?/(.*)");
  private static final Pattern DENSE = Pattern.compile("dense(?:_(\\d))?(/.*)");
  private static final Pattern OF_BACKBONE =
      Pattern.compile("(?:layers/\\w+_backbone|" + KerasHubPreset.BACKBONE + ")/layers/(.*)");

  /** What fixes a family: of the body, and of the last dense layers of a classifier. */
  private record Family(
      String activation, double epsilon, boolean isGpt, Integer pad, List<String> classifier) {
    private static final Map<String, Family> ALL = new TreeMap<>();

    static {
      List<String> pooled = List.of("dense", "task/logits");
      ALL.put("Bert", new Family("gelu-tanh", 1e-12, false, 0, List.of("task/logits")));
      ALL.put(
          "DistilBert",
          new Family("gelu-erf", 1e-12, false, 0, List.of("task/hidden", "task/logits")));
      ALL.put("GPT2", new Family("gelu-tanh", 1e-5, true, null, List.of()));
      ALL.put("Roberta", new Family("gelu-erf", 1e-5, false, 1, pooled));
      ALL.put("XLMRoberta", ALL.get("Roberta"));
    }
  }

  /** The configuration of KerasHub's model, which may be a layer of one's own. */
  private static JsonNode whole(WeightFile file) {
    JsonNode config = file.modelConfig.isObject() ? file.modelConfig : file.nearConfig();
    for (JsonNode layer : config.path("config").path("layers")) {
      if (CLASS.matcher(layer.path("class_name").asText()).matches()) {
        return layer;
      }
    }
    return config;
  }

  /** The class in a configuration of KerasHub. */
  static Optional<String> kind(WeightFile file) {
    JsonNode config = whole(file);
    boolean isHub = config.path("registered_name").asText().matches("keras_(hub|nlp)>.*");
    return Optional.of(config.path("class_name").asText()).filter(name -> isHub);
  }

  /** The class in a configuration of KerasHub that is not read, with those that are. */
  static Optional<String> unread(WeightFile file) {
    String text = "its class %s of KerasHub is not read; known are those of %s";
    var other = kind(file).filter(name -> !CLASS.matcher(name).matches());
    return other.map(name -> text.formatted(Excerpt.of(name), Family.ALL.keySet()));
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return CLASS.matcher(whole(file).path("class_name").asText()).matches();
  }

  @Override
  public ModelWeights map(WeightMap map) {
    JsonNode task = whole(map.file);
    Matcher name = CLASS.matcher(task.path("class_name").asText());
    map.check(name.matches(), "there is no configuration of KerasHub in it or beside it");
    Family family = Family.ALL.get(name.group(1));
    boolean isBackbone = name.group(2).equals("Backbone");
    JsonNode keys = task.path("config");
    JsonNode backbone = isBackbone ? keys : keys.path("backbone").path("config");
    boolean isLayer = map.file.tensors().keySet().stream().anyMatch(OF_BACKBONE.asMatchPredicate());
    boolean isBare = isBackbone && !isLayer;
    for (String tensor : map.file.tensors().keySet()) {
      boolean isOwn = isBackbone && isLayer && !OF_BACKBONE.matcher(tensor).matches();
      if (!isOwn) { // of a model around it
        place(map, tensor, isBare, family);
      }
    }
    boolean isMaskedLm = map.has("head/transform/kernel");
    boolean hasPooler = map.has("pooler/kernel");
    double dropout = backbone.path("dropout").asDouble(0.1);
    double ofClassifier = isBackbone ? dropout : keys.path("dropout").asDouble(0);
    var rates = new DropoutRates(dropout, dropout, 0, dropout, ofClassifier);
    var config = new ConfigBuilder("bert", map).putHeads();
    config
        .put("task", family.isGpt() ? "causal-lm" : isMaskedLm ? "masked-lm" : "encoder")
        .put("activation", family.activation(), "normalization.epsilon", family.epsilon())
        .put("normalization.position", family.isGpt() ? "pre" : "post")
        .put("normalization.embeddings", !family.isGpt(), "normalization.last", family.isGpt())
        .put("padId", pad(map, family), "dropout", rates)
        .put("tiedOutput", isMaskedLm || family.isGpt(), "headTransform", isMaskedLm)
        .put("headActivation", isMaskedLm ? "gelu-erf" : null)
        .put("headEpsilon", isMaskedLm ? 1e-5 : null)
        .put("pooler", hasPooler, "pooling", family.isGpt() ? "mean" : "cls");
    map.zeros = family.isGpt() ? "head/logits/bias" : "";
    if (map.has("classifier/logits/kernel")) {
      putClassifier(config, map, keys.path("activation"));
    }
    return map.finish(config.build(map.options.config()));
  }

  private static void putClassifier(ConfigBuilder config, WeightMap map, JsonNode activation) {
    int classes = map.size("classifier/logits/kernel", 2, 1);
    config.put("task", classes == 1 ? "regression" : "classification", "classes", classes);
    if (map.has("classifier/hidden_0/kernel")) {
      config.put("classifierSizes", List.of(map.size("classifier/hidden_0/kernel", 2, 1)));
    }
    if (activation.isTextual() && !activation.asText().equals("linear")) {
      map.note("logits are those before its activation, %s", activation.asText());
    }
  }

  /** Padding is what the tokenizer has for it; where there is none, as in KerasHub's own models. */
  private static Integer pad(WeightMap map, Family family) {
    if (family.isGpt()) {
      return null;
    }
    var pad = JsonTokenizer.beside(map.path()).map(t -> t.vocabulary().pad());
    return pad.filter(OptionalInt::isPresent).map(OptionalInt::getAsInt).orElse(family.pad());
  }

  private static void place(WeightMap map, String tensor, boolean isBackbone, Family family) {
    Matcher inside = OF_BACKBONE.matcher(tensor);
    String path = inside.matches() ? inside.group(1) : tensor.replaceFirst("^layers/", "");
    boolean isTask = !isBackbone && !inside.matches();
    if (isTask && path.equals("masked_lm_head/vars/0")) {
      map.put("head/logits/bias", tensor, Layout.SAME);
    } else {
      NAMES.place(map, tensor, isTask ? ofTask(path, family) : ofBackbone(path, family));
    }
  }

  private static String ofBackbone(String path, Family family) {
    Matcher block = BLOCK.matcher(path);
    if (block.matches()) {
      return "layer_" + (block.group(1) == null ? 0 : block.group(1)) + "/" + block.group(2);
    }
    return family.isGpt() ? path.replaceFirst("^layer_(?=normalization/)", "last_") : path;
  }

  private static String ofTask(String path, Family family) {
    Matcher dense = DENSE.matcher(path);
    int number =
        !dense.matches() ? -1 : dense.group(1) == null ? 0 : Integer.parseInt(dense.group(1));
    boolean isKnown = number >= 0 && number < family.classifier().size();
    return isKnown ? family.classifier().get(number) + dense.group(2) : "task/" + path;
  }
}
