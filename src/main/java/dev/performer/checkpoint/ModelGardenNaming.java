package dev.performer.checkpoint;

import dev.performer.checkpoint.WeightMap.Layout;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The encoders of TensorFlow's Model Garden in every form that Keras 2 saves. Blocks are known by
 * their order: scaffolds have numbers that depend on what else the program made.
 */
final class ModelGardenNaming implements NamingScheme {
  private static final Pattern BLOCK =
      Pattern.compile(
          "(?:.*/)?((?:transformer_scaffold|transformer_encoder_block|_transformer_layers/"
              + "|_hidden_layers/|layer_with_weights-|transformer/layer_)(?:_?(\\d{1,6}))?)/(.+)");
  private static final Pattern KEY = Pattern.compile("(?:.*/)?layer_with_weights-(\\d{1,6})/(.+)");
  private static final String KEYED = "layer_with_weights-";
  private static final String ATTENTION =
      "(?:(?:kernel|self|multi_head)_attention(?:_\\d+)?|_attention_layer)/";
  private static final NameTable IN_BLOCK =
      new NameTable(
          Layout.SAME,
          "(?:.*/)?",
          """
          ATTENTION_?(query|key|value)(?:_dense)? -> attention/$1
          ATTENTION(?:attention_output|_output_dense)|_attention_output_dense -> attention/output
          ATTENTION(?:attention_output_softmax|_output_dense_softmax) -> attention/output_exact
          self_attention_layer_norm|_attention_layer_norm(?:_kv)? -> attention_norm
          _?intermediate(?:_dense)? -> mlp/in
          _?output(?:_dense)? -> mlp/out
          _?output_layer_norm -> mlp_norm
          """
              .replace("ATTENTION", ATTENTION));
  private static final NameTable REST =
      new NameTable(
          Layout.SAME,
          "(?:.*/)?",
          """
          word_embeddings|on_device_embedding|_embedding_layer -> embeddings/token
          position_embedding|_position_embedding_layer -> embeddings/position
          type_embeddings|on_device_embedding_1|_type_embedding_layer -> embeddings/type
          embeddings/layer_norm|layer_normalization|_embedding_norm_layer -> embeddings/norm
          cls_transform|pooler_transform|_?pooler_layer -> pooler
          """);

  @Override
  public boolean recognizes(WeightFile file) {
    return names(file).values().stream()
        .map(BLOCK::matcher)
        .anyMatch(block -> block.matches() && block.group(3).matches(ATTENTION + ".*"));
  }

  /** Tensors and the names to know them by: the variables' own where they tell blocks. */
  private static Map<String, String> names(WeightFile file) {
    Map<String, String> names = new TreeMap<>();
    for (String tensor : file.tensors().keySet()) {
      String own = file.variable(tensor);
      boolean isKnown = REST.variable(own) != null || BLOCK.matcher(own).matches();
      names.put(tensor, isKnown ? own : tensor);
    }
    return names;
  }

  @Override
  public ModelWeights map(WeightMap map) {
    Map<String, String> names = names(map.file);
    List<String> blocks = blocks(names);
    names.forEach((tensor, name) -> place(map, tensor, name, blocks));
    placeByKeys(map, names);
    var garden = new ModelGardenConfig(names.values(), map);
    var config = new ConfigBuilder(garden.isKernel ? "kernel-encoder" : "bert", map).putHeads();
    config
        .put("task", "encoder", "activation", garden.activation(), "padId", null)
        .put("tiedOutput", false, "headTransform", false, "pooler", map.has("pooler/kernel"))
        .put("normalization.position", garden.normPosition());
    if (garden.isKernel && !map.options.configHas("attention")) {
      config.put("attention", garden.attention(map.layers()));
    }
    return map.finish(config.build(map.options.config()));
  }

  /** What names of blocks begin with, in the blocks' order. */
  private static List<String> blocks(Map<String, String> names) {
    Map<String, Integer> numbers = new TreeMap<>();
    for (String name : names.values()) {
      Matcher block = BLOCK.matcher(name);
      if (block.matches() && IN_BLOCK.variable(block.group(3)) != null) {
        if (!block.group(1).startsWith(KEYED) || block.group(3).startsWith("_")) {
          numbers.put(block.group(1), Integer.valueOf(Objects.toString(block.group(2), "-1")));
        }
      }
    }
    return numbers.keySet().stream().sorted(Comparator.comparing(numbers::get)).toList();
  }

  private static void place(WeightMap map, String tensor, String name, List<String> blocks) {
    Matcher block = BLOCK.matcher(name);
    boolean isInside = block.matches();
    int i = isInside ? blocks.indexOf(block.group(1)) : -1;
    if (i >= 0) {
      IN_BLOCK.place(map, tensor, IN_BLOCK.variable(block.group(3)), "layer_" + i + "/");
    } else if (!isInside || !block.group(1).startsWith(KEYED)) {
      REST.place(map, tensor, name);
    }
  }

  /** Keys that no name explains: before the blocks stand the tables, after them the pooler. */
  private static void placeByKeys(WeightMap map, Map<String, String> names) {
    Map<Integer, String> tables = new TreeMap<>();
    names.forEach(
        (tensor, name) -> {
          Matcher key = KEY.matcher(name);
          switch (key.matches() ? key.group(2) : "") {
            case "embeddings" -> tables.put(Integer.parseInt(key.group(1)), tensor);
            case "gamma" -> map.put("embeddings/norm/scale", tensor, Layout.SAME);
            case "beta" -> map.put("embeddings/norm/bias", tensor, Layout.SAME);
            case "kernel", "bias" -> map.put("pooler/" + key.group(2), tensor, Layout.SAME);
            default -> {}
          }
        });
    List<String> order = List.of("embeddings/token", "embeddings/position", "embeddings/type");
    map.check(tables.size() <= 3, "there are %s tables; an encoder has at most 3", tables.size());
    int i = 0;
    for (String tensor : tables.values()) {
      map.put(order.get(i++), tensor, Layout.SAME);
    }
  }
}
