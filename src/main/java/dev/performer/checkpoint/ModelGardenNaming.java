package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The encoders of TensorFlow's Model Garden, with KernelAttention ({@code kernel}) or softmax
 * ({@code bert}), in every form that Keras 2 saves. Blocks are known by their order: scaffolds have
 * numbers that depend on what else the program made.
 */
final class ModelGardenNaming implements NamingScheme {
  private static final Pattern BLOCK =
      Pattern.compile(
          "(?:.*/)?((?:transformer_scaffold|transformer_encoder_block|_transformer_layers/"
              + "|_hidden_layers/|layer_with_weights-|transformer/layer_)(?:_?(\\d{1,6}))?)/(.+)");

  private record Rule(Pattern pattern, String place) {
    static Rule of(String pattern, String place) {
      return new Rule(Pattern.compile("(?:.*/)?(?:" + pattern + ")"), place);
    }
  }

  private static final String ATTENTION =
      "(?:(?:kernel|self|multi_head)_attention(?:_\\d+)?|_attention_layer)/";

  private static final List<Rule> BLOCK_RULES =
      List.of(
          Rule.of(ATTENTION + "_?query(?:_dense)?", "attention/query"),
          Rule.of(ATTENTION + "_?key(?:_dense)?", "attention/key"),
          Rule.of(ATTENTION + "_?value(?:_dense)?", "attention/value"),
          Rule.of(
              ATTENTION + "(?:attention_output|_output_dense)|_attention_output_dense",
              "attention/output"),
          Rule.of(
              ATTENTION + "(?:attention_output_softmax|_output_dense_softmax)",
              "attention/output_exact"),
          Rule.of("self_attention_layer_norm|_attention_layer_norm(?:_kv)?", "attention_norm"),
          Rule.of("_?intermediate(?:_dense)?", "mlp/in"),
          Rule.of("_?output(?:_dense)?", "mlp/out"),
          Rule.of("_?output_layer_norm", "mlp_norm"));

  private static final List<Rule> REST_RULES =
      List.of(
          Rule.of("word_embeddings|on_device_embedding|_embedding_layer", "embeddings/token"),
          Rule.of("position_embedding|_position_embedding_layer", "embeddings/position"),
          Rule.of("type_embeddings|on_device_embedding_1|_type_embedding_layer", "embeddings/type"),
          Rule.of(
              "embeddings/layer_norm|layer_normalization|_embedding_norm_layer", "embeddings/norm"),
          Rule.of("cls_transform|pooler_transform|_?pooler_layer", "pooler"));

  private static final Pattern KEY = Pattern.compile("(?:.*/)?layer_with_weights-(\\d{1,6})/(.+)");

  @Override
  public String label() {
    return "Model Garden encoder";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return names(file).values().stream()
        .map(BLOCK::matcher)
        .anyMatch(m -> m.matches() && m.group(3).matches(ATTENTION + ".*"));
  }

  /** Tensors and the names to know them by: the variables' own where they tell blocks. */
  private static Map<String, String> names(WeightFile file) {
    Map<String, String> names = new TreeMap<>();
    for (String tensor : file.tensors().keySet()) {
      String own = file.variable(tensor);
      boolean isKnown = restPlace(own) != null || BLOCK.matcher(own).matches();
      names.put(tensor, isKnown ? own : tensor);
    }
    return names;
  }

  private static String restPlace(String name) {
    return placeOf(REST_RULES, name.substring(0, Math.max(0, weightStart(name))));
  }

  /** Where the name of the weight itself begins: {@code /kernel}, {@code /vars/0}. */
  private static int weightStart(String name) {
    int slash = name.lastIndexOf('/');
    return slash > 4 && name.startsWith("vars", slash - 4) ? slash - 5 : slash;
  }

  private static String placeOf(List<Rule> rules, String name) {
    for (Rule rule : rules) {
      if (rule.pattern().matcher(name).matches()) {
        return rule.place();
      }
    }
    return null;
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    WeightMap map = new WeightMap(file);
    Map<String, String> names = names(file);
    Map<String, Integer> blocks = blocks(names);
    names.forEach((tensor, name) -> place(map, tensor, name, blocks));
    placeByKeys(map, file, names);
    ModelGardenConfig config = new ModelGardenConfig(file, names.values(), options, map);
    ConfigBuilder builder =
        new ConfigBuilder(file, config.isKernel() ? "kernel-encoder" : "bert")
            .putSizes(map)
            .putHeads(map)
            .put("task", "encoder")
            .put("activation", config.activation())
            .put("padId", null)
            .put("tiedOutput", false)
            .put("headTransform", false)
            .put("pooler", map.has("pooler/kernel"))
            .put("normalization", Map.of("position", config.normPosition()));
    if (config.isKernel() && !config.isAttentionGiven()) {
      builder.putAttention(config.attention(map.layers()));
    }
    return map.finish(label(), builder.config(options), options.allowMissing());
  }

  private static Map<String, Integer> blocks(Map<String, String> names) {
    Map<String, Integer> numbers = new TreeMap<>();
    for (String name : names.values()) {
      Matcher block = BLOCK.matcher(name);
      if (block.matches() && blockPlace(block.group(3)) != null) {
        boolean isKey = block.group(1).startsWith("layer_with_weights-");
        if (!isKey || block.group(3).startsWith("_")) {
          numbers.put(
              block.group(1), block.group(2) == null ? -1 : Integer.parseInt(block.group(2)));
        }
      }
    }
    List<String> sorted =
        numbers.entrySet().stream()
            .sorted(Comparator.comparingInt(Map.Entry::getValue))
            .map(Map.Entry::getKey)
            .toList();
    Map<String, Integer> order = new TreeMap<>();
    sorted.forEach(block -> order.put(block, order.size()));
    return order;
  }

  private static String blockPlace(String rest) {
    return placeOf(BLOCK_RULES, rest.substring(0, Math.max(0, weightStart(rest))));
  }

  private static void place(
      WeightMap map, String tensor, String name, Map<String, Integer> blocks) {
    Matcher block = BLOCK.matcher(name);
    String place = null;
    if (block.matches() && blocks.containsKey(block.group(1))) {
      String inBlock = blockPlace(block.group(3));
      place = inBlock == null ? null : "layer_" + blocks.get(block.group(1)) + "/" + inBlock;
    } else if (!block.matches() || !block.group(1).startsWith("layer_with_weights-")) {
      place = restPlace(name);
    }
    if (place != null) {
      put(map, place, tensor, name.substring(weightStart(name) + 1));
    }
  }

  private static void put(WeightMap map, String place, String tensor, String weight) {
    boolean isNorm = place.endsWith("norm");
    String ours =
        switch (weight) {
          case "kernel" -> "/kernel";
          case "bias", "beta" -> "/bias";
          case "gamma" -> "/scale";
          case "embeddings" -> "";
          case "vars/0" -> isNorm ? "/scale" : place.matches("embeddings/\\w+") ? "" : "/kernel";
          case "vars/1" -> "/bias";
          default -> null;
        };
    if (ours != null) {
      map.put(place + ours, tensor, Layout.SAME);
    }
  }

  /** Keys that no name explains: before the blocks stand the tables, after them the pooler. */
  private static void placeByKeys(WeightMap map, WeightFile file, Map<String, String> names) {
    Map<Integer, String> tables = new TreeMap<>();
    for (Map.Entry<String, String> e : names.entrySet()) {
      Matcher key = KEY.matcher(e.getValue());
      if (!key.matches()) {
        continue;
      }
      switch (key.group(2)) {
        case "embeddings" -> tables.put(Integer.parseInt(key.group(1)), e.getKey());
        case "gamma" -> map.put("embeddings/norm/scale", e.getKey(), Layout.SAME);
        case "beta" -> map.put("embeddings/norm/bias", e.getKey(), Layout.SAME);
        case "kernel", "bias" -> map.put("pooler/" + key.group(2), e.getKey(), Layout.SAME);
        default -> {}
      }
    }
    List<String> order = List.of("embeddings/token", "embeddings/position", "embeddings/type");
    if (tables.size() > order.size()) {
      throw new PerformerException(
          file.path() + " has " + tables.size() + " tables; an encoder has at most 3");
    }
    int i = 0;
    for (String tensor : tables.values()) {
      map.put(order.get(i++), tensor, Layout.SAME);
    }
  }
}
