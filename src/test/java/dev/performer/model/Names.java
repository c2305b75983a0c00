package dev.performer.model;

import dev.performer.data.NpyArray;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Names in reference data, as regular expressions, and what we call the same variables. */
record Names(Map<String, String> rules) {

  /** Our name, or nothing if the array is no variable. */
  Optional<String> ours(String theirs) {
    for (Map.Entry<String, String> rule : rules.entrySet()) {
      if (theirs.matches(rule.getKey())) {
        return Optional.of(theirs.replaceFirst(rule.getKey(), rule.getValue()));
      }
    }
    return Optional.empty();
  }

  /** Arrays whose names begin so, by our names and in the shapes of ours. */
  Map<String, NpyArray> arrays(Map<String, NpyArray> all, String prefix, PerformerConfig config) {
    var shapes = Performer.shapes(config);
    Map<String, NpyArray> found = new LinkedHashMap<>();
    all.forEach(
        (name, array) -> {
          if (name.startsWith(prefix)) {
            ours(name.substring(prefix.length()))
                .ifPresent(
                    our ->
                        found.put(
                            our,
                            shapes.get(our) == null
                                ? array
                                : NpyArray.of(array.floats(), shapes.get(our).asArray())));
          }
        });
    return found;
  }

  /** Flax names of protein_lm and of Long Range Arena, after layers got numbers from 0. */
  static Names flax() {
    Map<String, String> rules = new LinkedHashMap<>();
    rules.put("(?:embed|Embed_0)/embedding", "embeddings/token");
    rules.put(
        "(?:AddLearnedPositionalEncodings_0|posembed_input)/pos_embedding", "embeddings/position");
    rules.put("cls", "embeddings/class_token");
    String layer = "block_(\\d+)/";
    rules.put(layer + "LayerNorm_0/(.*)", "layer_$1/attention_norm/$2");
    rules.put(layer + "LayerNorm_2/(.*)", "layer_$1/mlp_norm/$2");
    rules.put(layer + "MultiHead.*/out/kernel", "layer_$1/attention/output/kernel");
    rules.put(layer + "MultiHead[^/]*/(.*)", "layer_$1/attention/$2");
    rules.put(layer + "MlpBlock_3/Dense_0/(.*)", "layer_$1/mlp/in/$2");
    rules.put(layer + "MlpBlock_3/Dense_1/(.*)", "layer_$1/mlp/out/$2");
    rules.put("(?:LayerNorm_\\d+|encoder_norm)/(.*)", "final_norm/$1");
    rules.put("Dense_\\d+/(.*)", "head/logits/$1");
    rules.put("mlp/(.*)", "classifier/hidden_0/$1");
    rules.put("logits/(.*)", "classifier/logits/$1");
    return new Names(rules);
  }

  /** Keras names of the encoders of Model Garden; scaffolds must be renamed to {@code layer_i}. */
  static Names modelGarden() {
    Map<String, String> rules = new LinkedHashMap<>();
    rules.put("word_embeddings/embeddings", "embeddings/token");
    rules.put("position_embedding/embeddings", "embeddings/position");
    rules.put("type_embeddings/embeddings", "embeddings/type");
    rules.put("embeddings/layer_norm/(.*)", "embeddings/norm/$1");
    String layer = "layer_(\\d+)/";
    String attention = layer + "(?:kernel|self)_attention/";
    rules.put(attention + "attention_output/(.*)", "layer_$1/attention/output/$2");
    rules.put(attention + "attention_output_softmax/(.*)", "layer_$1/attention/output_exact/$2");
    rules.put(attention + "(.*)", "layer_$1/attention/$2");
    rules.put(layer + "self_attention_layer_norm/(.*)", "layer_$1/attention_norm/$2");
    rules.put(layer + "intermediate/(.*)", "layer_$1/mlp/in/$2");
    rules.put(layer + "output/(.*)", "layer_$1/mlp/out/$2");
    rules.put(layer + "output_layer_norm/(.*)", "layer_$1/mlp_norm/$2");
    rules.put("(?:cls_transform|pooler_transform)/(.*)", "pooler/$1");
    return new Names(rules);
  }

  /** Names of the small Keras models in {@code savedmodels/reference}. */
  static Names keras() {
    Map<String, String> rules = new LinkedHashMap<>();
    rules.put("aa_embedding/embeddings|embed/tok/embeddings", "embeddings/token");
    rules.put("position/table|embed/pos/embeddings", "embeddings/position");
    String attention = "(?:favor|mha)_(\\d+)/";
    rules.put(attention + "attention_output/(.*)", "layer_$1/attention/output/$2");
    rules.put(attention + "(.*)", "layer_$1/attention/$2");
    rules.put("ln(?:_a|1)_(\\d+)/(.*)", "layer_$1/attention_norm/$2");
    rules.put("ln(?:_b|2)_(\\d+)/(.*)", "layer_$1/mlp_norm/$2");
    rules.put("ff1_(\\d+)/(.*)", "layer_$1/mlp/in/$2");
    rules.put("ff2_(\\d+)/(.*)", "layer_$1/mlp/out/$2");
    rules.put("lm_head/(.*)", "head/logits/$1");
    rules.put("(?:class_head|head)/(.*)", "classifier/logits/$1");
    return new Names(rules);
  }

  /** Keras's names of layer norms' variables in ours, and without {@code :0}. */
  static Map<String, NpyArray> renamed(Map<String, NpyArray> arrays) {
    Map<String, NpyArray> result = new LinkedHashMap<>();
    arrays.forEach(
        (name, array) ->
            result.put(
                name.replace(":0", "")
                    .replaceFirst("/gamma$", "/scale")
                    .replaceFirst("/beta$", "/bias"),
                array));
    return result;
  }
}
