package dev.performer.model;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.testing.ReferenceCase;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A small model that Google's protein_lm trained, without going through a checkpoint's reader.
 *
 * @param config of the model
 * @param weights by our names
 * @param golden everything that Python computed
 */
public record ReferenceModel(
    PerformerConfig config, Map<String, NpyArray> weights, Map<String, NpyArray> golden) {

  /** One of the models in {@code protein_lm_models}. */
  public static ReferenceModel proteinLm(String name) {
    Map<String, NpyArray> golden = new LinkedHashMap<>();
    Npz.read(ReferenceCase.directory("/reference/protein_lm_models").resolve(name + ".npz"))
        .forEach(
            (key, array) ->
                golden.put(
                    key.replace("Transformer1DBlock_1/", "block_0/")
                        .replace("Transformer1DBlock_2/", "block_1/"),
                    array));
    boolean isCausal = name.startsWith("lm_");
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    keys.put("preset", "protein-lm").put("task", isCausal ? "causal-lm" : "masked-lm");
    keys.put("maxLength", 64).put("hiddenSize", 32).put("layers", 2);
    keys.put("heads", 4).put("mlpSize", 64);
    if (!isCausal) {
      keys.putNull("shiftBos");
    }
    keys.set("attention", Json.of(attention(name)));
    PerformerConfig config = PerformerConfig.of(keys, name);
    Map<String, NpyArray> weights =
        new LinkedHashMap<>(Names.flax().arrays(golden, "param/", config));
    Performer.projections(config)
        .forEach(
            (variable, matrix) ->
                weights.put(
                    variable, NpyArray.of(matrix.values(), matrix.rows(), matrix.columns())));
    return new ReferenceModel(config, weights, golden);
  }

  private static String attention(String name) {
    return switch (name) {
      case "lm_relu" ->
          "{\"kernel\": \"relu\", \"convention\": \"google-jax\", \"denominatorEpsilon\": 0}";
      case "lm_softmax_favor" ->
          "{\"kernel\": \"softmax\", \"features\": 24, \"convention\": \"google-jax\"}";
      case "bert_softmax_favor" ->
          "{\"kernel\": \"softmax\", \"features\": 20, \"convention\": \"google-jax\"}";
      default -> "{\"exact\": true, \"maskQueries\": true}";
    };
  }
}
