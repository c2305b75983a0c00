package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.nn.Dropout;
import dev.performer.testing.ReferenceCase;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Models that Google's protein_lm trained: every head, and the gradients of its loss. */
class ProteinLmTest {
  static final String CAUSAL_MODELS =
      """
      lm_exact, causal-lm, '{"exact": true, "maskQueries": true}'
      lm_relu, causal-lm, '{"kernel": "relu", "convention": "google-jax", "denominatorEpsilon": 0}'
      lm_softmax_favor, causal-lm, '{"kernel": "softmax", "features": 24, "convention": "google-jax"}'
      """;

  static final String MODELS =
      """
      bert_exact, masked-lm, '{"exact": true, "maskQueries": true}'
      bert_softmax_favor, masked-lm, '{"kernel": "softmax", "features": 20, "convention": "google-jax"}'
      """
          + CAUSAL_MODELS;

  private final Map<String, NpyArray> golden = new LinkedHashMap<>();

  @ParameterizedTest
  @CsvSource(textBlock = MODELS)
  void reproducesEveryHead(String name, String task, String attention) {
    read(name);
    try (ModelRun run = loaded(task, attention, task.equals("causal-lm"))) {
      Operand<TInt32> tokens = run.ints();
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens), Dropout.none());
      Map<String, Operand<TFloat32>> heads = new LinkedHashMap<>();
      heads.put("head_input_emb", out.embeddings());
      heads.put("head_layer_0", out.layers().get(0).hidden());
      heads.put("head_layer_1", out.layers().get(1).hidden());
      heads.put("head_output_emb", out.sequence());
      heads.put("logits", out.logits());
      List<float[]> actual =
          run.run(Map.of(tokens, golden.get("tokens")), new ArrayList<>(heads.values()));
      int i = 0;
      for (String head : heads.keySet()) {
        double error = ModelRun.error(actual.get(i++), golden.get(head).floats());
        assertThat(error).as(head).isLessThan(1e-5);
      }
      for (String more : List.of("2", "3")) {
        float[] logits =
            run.run(Map.of(tokens, golden.get("tokens" + more)), List.of(out.logits())).get(0);
        assertThat(ModelRun.error(logits, golden.get("logits" + more).floats()))
            .as("logits" + more)
            .isLessThan(1e-5);
      }
    }
  }

  @ParameterizedTest
  @CsvSource(textBlock = MODELS)
  void reproducesGradients(String name, String task, String attention) {
    read(name);
    // What the evaluation fed its network is shifted already.
    try (ModelRun run = loaded(task, attention, false)) {
      Map<String, NpyArray> expected = Names.flax().arrays(golden, "grad/", run.config);
      assertThat(expected.keySet()).containsExactlyInAnyOrderElementsOf(run.trainable());
      Operand<TInt32> tokens = run.ints();
      Operand<TInt32> targets = run.ints();
      Operand<TFloat32> weights = run.floats(2);
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens), Dropout.none());
      Operand<TFloat32> loss = Losses.crossEntropy(run.tf, out.logits(), targets, weights, 29);
      List<String> names = new ArrayList<>(expected.keySet());
      List<Operand<TFloat32>> fetches = new ArrayList<>(run.gradients(loss, names).values());
      fetches.add(loss);
      List<float[]> actual =
          run.run(
              Map.of(
                  tokens, golden.get("eval_model_inputs"),
                  targets, golden.get("eval_targets"),
                  weights, golden.get("eval_weights")),
              fetches);
      assertThat(ModelRun.error(actual.get(names.size()), golden.get("grad_loss").floats()))
          .isLessThan(1e-5);
      // Google's causal gradient recovers prefix sums by subtraction, and is off by so much itself:
      // see the test below.
      double tolerance = name.equals("lm_relu") ? 1e-3 : 1e-4;
      for (int i = 0; i < names.size(); i++) {
        assertThat(ModelRun.error(actual.get(i), expected.get(names.get(i)).floats()))
            .as("gradient of " + names.get(i))
            .isLessThan(tolerance);
      }
    }
  }

  @Test
  void causalGradientsAreThoseOfTheQuadraticForm() {
    read("lm_relu");
    String attention = "{kernel: relu, convention: google-jax, chunk: 8}";
    try (ModelRun run = loaded("causal-lm", attention, false)) {
      Operand<TInt32> tokens = run.ints();
      Operand<TInt32> targets = run.ints();
      Operand<TFloat32> weights = run.floats(2);
      Outputs fast = run.performer.apply(run.tf, Inputs.of(tokens), Dropout.none());
      Operand<TInt32> all =
          run.tf.range(run.tf.constant(0), run.tf.constant(64), run.tf.constant(1));
      Outputs naive =
          run.performer.applyPiece(
              run.tf,
              tokens,
              all,
              (layer, of) ->
                  run.tf.train.batchMatMul(
                      run.performer
                          .attention(layer)
                          .mixer()
                          .weights(run.tf, of, null, all, new ArrayList<>()),
                      of.values(),
                      TFloat32.class));
      List<String> names = run.trainable();
      List<Operand<TFloat32>> fetches = new ArrayList<>();
      for (Outputs out : List.of(fast, naive)) {
        Operand<TFloat32> loss = Losses.crossEntropy(run.tf, out.logits(), targets, weights, 29);
        fetches.addAll(run.gradients(loss, names).values());
      }
      List<float[]> both =
          run.run(
              Map.of(
                  tokens, golden.get("eval_model_inputs"),
                  targets, golden.get("eval_targets"),
                  weights, golden.get("eval_weights")),
              fetches);
      for (int i = 0; i < names.size(); i++) {
        assertThat(ModelRun.error(both.get(i), both.get(names.size() + i)))
            .as("gradient of " + names.get(i))
            .isLessThan(1e-5);
      }
    }
  }

  /** The reference data of a model, blocks numbered from 0. */
  Map<String, NpyArray> read(String name) {
    Npz.read(ReferenceCase.directory("/reference/protein_lm_models").resolve(name + ".npz"))
        .forEach(
            (key, array) -> {
              String numbered = key;
              for (int i = 0; i < 2; i++) {
                numbered =
                    numbered.replace("Transformer1DBlock_" + (i + 1) + "/", "block_" + i + "/");
              }
              golden.put(numbered, array);
            });
    return golden;
  }

  ModelRun loaded(String task, String attention, boolean shifts) {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    keys.put("preset", "protein-lm").put("task", task).put("maxLength", 64).put("hiddenSize", 32);
    keys.put("layers", 2).put("heads", 4).put("mlpSize", 64);
    if (!shifts) {
      keys.putNull("shiftBos");
    }
    keys.set("attention", Json.of(attention));
    ModelRun run = new ModelRun(PerformerConfig.of(keys, "test"));
    run.load(Names.flax().arrays(golden, "param/", run.config));
    if (golden.containsKey("P")) {
      // Derived from Google's fixed key alone, for both layers.
      for (int i = 0; i < 2; i++) {
        assertThat(
                ModelRun.error(
                    run.value("layer_" + i + "/attention/projection"), golden.get("P").floats()))
            .isLessThan(2e-6);
      }
    }
    return run;
  }
}
