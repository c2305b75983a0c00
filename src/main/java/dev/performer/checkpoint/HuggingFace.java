package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.model.PerformerConfig.DropoutRates;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A checkpoint of Hugging Face's transformers: what its {@code config.json} tells, and its tensors
 * by PyTorch's names, whichever framework named them.
 */
final class HuggingFace {
  /** What the names of a model type's classes begin with. */
  private static final Map<String, String> TYPES = new TreeMap<>();

  static {
    TYPES.put("bert", "Bert");
    TYPES.put("camembert", "Camembert");
    TYPES.put("distilbert", "DistilBert");
    TYPES.put("esm", "Esm");
    TYPES.put("gpt2", "GPT2");
    TYPES.put("roberta", "Roberta");
    TYPES.put("xlm-roberta", "XLMRoberta");
  }

  private static final Pattern ARCHITECTURE =
      Pattern.compile(
          "(?:TF|Flax)?(\\w+?)(Model|PreTrainedModel|LMHeadModel|DoubleHeadsModel|For[A-Z]\\w*)");
  private static final Set<String> HEADS_OF_NO_TASK =
      Set.of(
          "ForTokenClassification",
          "ForQuestionAnswering",
          "ForMultipleChoice",
          "ForNextSentencePrediction",
          "DoubleHeadsModel");
  static final String CLASSIFIER_OF_TOKENS =
      "its classifier is of each token, which no task here has; as task encoder it is read without";

  /** Embeddings and blocks of BERT, which RoBERTa names alike. */
  static final String BERT_ENCODER =
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
      """;

  private static final String HEAD =
      "(classifier|pre_classifier|qa_outputs|score|multiple_choice_head|sequence_summary)\\b.*";

  /**
   * How one family names its parts.
   *
   * @param types its model types
   * @param roots what its names begin with, or in bare models do not; an expression
   * @param names by PyTorch's names
   * @param probe an expression for variables that only a Transformer of this family has
   */
  record Family(Set<String> types, String roots, NameTable names, String probe) {
    /** By {@code config.json} where that tells; else by names, if they are only this family's. */
    boolean recognizes(WeightFile file, boolean isDistinct) {
      var all = pytorchNames(file).values();
      var root = Pattern.compile("(?:" + roots + ")\\..*").asMatchPredicate();
      boolean isNamed = isDistinct || all.stream().anyMatch(root.and(n -> !n.matches(HEAD)));
      return names.knows(all, probe) && type(file).map(types::contains).orElse(isNamed);
    }

    /** By tensor: TensorFlow has {@code model/bert/encoder/layer_._0/…:0}, in groups of HDF5. */
    private SortedMap<String, String> pytorchNames(WeightFile file) {
      SortedMap<String, String> all = new TreeMap<>();
      for (String tensor : file.tensors().keySet()) {
        String name = tensor;
        if (isTensorFlow(tensor)) {
          name = file.variable(tensor).replaceAll("[^/]*___", "").replace("_._", "/");
          String outside = "^(?:.*\\.)?(?=(?:" + roots + ")\\.)";
          name = name.replace('/', '.').replaceFirst(outside, "");
        }
        all.put(tensor, name);
      }
      return all;
    }
  }

  final WeightMap map;
  final JsonNode config;
  private final Family family;
  private final SortedMap<String, String> names; // of PyTorch, by tensor
  private final Map<String, String> tensors = new TreeMap<>(); // the first of each name

  /** Checks that {@code config.json} tells of no other family. */
  HuggingFace(WeightMap map, Family family) {
    this.map = map;
    this.family = family;
    config = map.file.neighbourConfig();
    names = family.pytorchNames(map.file);
    names.forEach((tensor, name) -> tensors.putIfAbsent(name, tensor));
    Optional<String> type = type(map.file);
    String other = "config.json has %s, which is none of %s";
    map.checkGiven(
        "scheme",
        type.map(family.types()::contains).orElse(true),
        other,
        type.orElse(""),
        family.types());
  }

  /** A model type that is not read, with those that are. */
  static Optional<String> unread(WeightFile file) {
    String text = "its config.json has the model_type %s, which is not read; known are %s";
    var type = type(file).filter(t -> !TYPES.containsKey(t));
    return type.map(t -> text.formatted(Excerpt.of(t), TYPES.keySet()));
  }

  /** The model type in {@code config.json}, else that of its architectures; any, also unknown. */
  static Optional<String> type(WeightFile file) {
    JsonNode config = file.neighbourConfig();
    if (config.path("model_type").isTextual()) {
      return Optional.of(config.get("model_type").textValue());
    }
    String architecture = config.path("architectures").path(0).asText();
    Matcher parts = ARCHITECTURE.matcher(architecture);
    if (!parts.matches()) {
      return Optional.empty();
    }
    var known = TYPES.entrySet().stream().filter(t -> t.getValue().equals(parts.group(1)));
    return Optional.of(known.findFirst().map(Map.Entry::getKey).orElse(architecture));
  }

  /** Whether TensorFlow named the table of tokens. */
  boolean isTensorFlow() {
    return isTensorFlow(map.tensor("embeddings/token"));
  }

  private static boolean isTensorFlow(String tensor) {
    return tensor.indexOf('/') >= 0;
  }

  /** Notes which variable each tensor is; those that match {@code unused} are not needed. */
  void place(String unused) {
    String architecture = config.path("architectures").path(0).asText();
    Matcher parts = ARCHITECTURE.matcher(architecture);
    boolean isBare = "encoder".equals(map.options.task());
    boolean hasTask = !parts.matches() || !HEADS_OF_NO_TASK.contains(parts.group(2));
    String other = "%s has a head that no task here has; as task encoder it is read without";
    map.checkGiven("task", hasTask || isBare, other, architecture);
    Set<String> heads = new TreeSet<>();
    names.forEach(
        (tensor, name) -> {
          String variable = family.names().variable(name);
          if (isBare && name.matches(HEAD)) {
            heads.add(name.replaceFirst("\\..*", ""));
            map.ignore(tensor);
          } else if (name.matches(unused) || isCopy(name, tensor)) {
            map.ignore(tensor);
          } else {
            family.names().place(map, tensor, variable, "", layout(tensor));
          }
        });
    if (!heads.isEmpty()) {
      map.note("left out, as the task encoder has none: " + String.join(", ", heads));
    }
  }

  /** Keras keeps what two layers share twice. */
  private boolean isCopy(String name, String tensor) {
    String first = tensors.get(name);
    return !first.equals(tensor) && isAlike(first, tensor);
  }

  private boolean isAlike(String one, String other) {
    return map.file.read(one).equals(map.file.read(other));
  }

  /** Whether there is a tensor whose name by PyTorch begins so. */
  boolean hasBelow(String part) {
    return tensors.keySet().stream().anyMatch(name -> name.startsWith(part + "."));
  }

  /** The numbers of all tensors whose names by PyTorch match, in the order of their names. */
  List<float[]> values(String pattern) {
    var found = tensors.keySet().stream().filter(name -> name.matches(pattern));
    return found.map(name -> map.file.read(tensors.get(name)).floats()).toList();
  }

  /** How a kernel lies in the file. */
  private Layout layout(String tensor) {
    return isTensorFlow(tensor) ? Layout.JOINED : family.names().dense();
  }

  /**
   * Places a decoder of logits, which mostly repeats the table of tokens and the bias; only where
   * it does not it is its own. Returns whether it repeats the table.
   */
  boolean placeDecoder(String decoder) {
    String bias = tensors.get(decoder + ".bias");
    if (bias != null && !map.has("head/logits/bias")) {
      map.put("head/logits/bias", bias, Layout.SAME);
    }
    String kernel = tensors.get(decoder + ".weight");
    if (kernel == null || isAlike(kernel, map.tensor("embeddings/token"))) {
      map.ignore(decoder + ".weight");
      return true;
    }
    map.put("head/logits/kernel", kernel, Layout.LINEAR);
    return false;
  }

  /** The number of heads, under the family's key. */
  int heads(String key) {
    Integer given = map.options.heads();
    JsonNode stored = config.path(key);
    String unknown =
        "the number of heads is not in the file; put its config.json beside it, or give it";
    map.checkGiven("heads", given != null || stored.isInt(), unknown);
    return given != null ? given : stored.intValue();
  }

  /** Our name of the activation under the family's key. */
  String activation(String key, String otherwise) {
    String name = config.path(key).asText(otherwise);
    return switch (name) {
      case "gelu", "gelu_python" -> "gelu-erf";
      case "gelu_new", "gelu_fast", "gelu_pytorch_tanh" -> "gelu-tanh";
      case "relu", "silu", "tanh" -> name;
      case "swish" -> "silu";
      default -> throw map.wrong("config.json has %s %s: not known here", key, name);
    };
  }

  double number(String key, double otherwise) {
    return config.path(key).asDouble(otherwise);
  }

  Integer padId(Integer otherwise) {
    JsonNode pad = config.path("pad_token_id");
    return pad.isIntegralNumber() ? Integer.valueOf(pad.intValue()) : otherwise;
  }

  /** The keys that BERT and RoBERTa share. */
  void putBert(ConfigBuilder to, double epsilon, int padId) {
    String positions = config.path("position_embedding_type").asText("absolute");
    boolean isAbsolute = positions.equals("absolute") && map.has("embeddings/position");
    map.check(isAbsolute, "its positions are %s; only tables of positions are known", positions);
    putEncoder(to, epsilon, padId);
  }

  /** Heads, activation, norms and dropout of an encoder. */
  void putEncoder(ConfigBuilder to, double epsilon, int padId) {
    boolean decodes = config.path("is_decoder").asBoolean();
    map.check(!decodes, "config.json has is_decoder: no encoder has it");
    to.put("heads", heads("num_attention_heads"), "headSize", 0, "padId", padId(padId))
        .put("activation", activation("hidden_act", "gelu"))
        .put("normalization.epsilon", number("layer_norm_eps", epsilon));
    double dropout = number("hidden_dropout_prob", 0.1);
    putDropout(to, dropout, number("attention_probs_dropout_prob", 0.1), "classifier_dropout");
    if (config.isEmpty()) {
      String assumed = "no config.json beside it: assumed gelu (erf), epsilon %s, padding token %d";
      map.note(assumed, epsilon, padId);
    }
  }

  /** A table of positions whose first rows are of padding, as RoBERTa has it. */
  void putPositionsBehindPadding(ConfigBuilder to, int padId) {
    int first = padId(padId) + 1;
    int rows = map.size("embeddings/position", 2, 0);
    boolean isUsual = first == padId + 1 || !isTensorFlow();
    map.check(isUsual, "TensorFlow counts its positions from 2 on, whatever the pad_token_id");
    map.check(rows > first, "its %d positions begin at %d, behind padding", rows, first);
    to.put("positions", "learned-behind-padding", "maxLength", rows - first);
  }

  /** Rates of dropout; that of a classifier is the others' unless its key tells one. */
  void putDropout(ConfigBuilder to, double all, double attention, String classifier) {
    var rates = new DropoutRates(all, attention, 0, all, number(classifier, all));
    to.put("dropout", rates);
  }

  /** What is told of a classifier: its task, pooling and number of classes. */
  void putClassifier(ConfigBuilder to) {
    int classes = map.size("classifier/logits/kernel", 2, 1);
    to.put("task", classes == 1 ? "regression" : "classification", "classes", classes);
    to.put("pooling", "cls");
  }
}
