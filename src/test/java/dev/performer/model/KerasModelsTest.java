package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.nn.Dropout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** The Python models of {@code savedmodels/reference}, as configurations. */
class KerasModelsTest {
  private static final String POST_NORM =
      "hiddenSize: 32, layers: 2, heads: 4, mlpSize: 64, activation: gelu-erf, attentionBias: true,"
          + " positions: learned, normalization: {position: post, epsilon: 1.0e-6, last: false}";

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          protein_exp         | classes: 5, attention: {modelGarden: {featureTransform: exp, numRandomFeatures: 16, seed: 3}}
          protein_relu_causal | attention: {modelGarden: {featureTransform: relu, numRandomFeatures: 16, seed: 3, useCausalWindowed: true, causalWindowLength: 64}}
          """)
  void proteinModels(String name, String keys) {
    PerformerConfig config =
        Json.config(
            "{task: masked-lm, vocabularySize: 26, maxLength: 128, padId: 0, %s, %s}"
                .formatted(POST_NORM, keys));
    Map<String, NpyArray> expected = expected(name);
    try (ModelRun run = new ModelRun(config)) {
      run.load(Names.keras().arrays(expected, "variables/", config));
      for (int i = 0; i < 2; i++) {
        assertThat(run.value("layer_" + i + "/attention/projection"))
            .isEqualTo(expected.get("P/favor_" + i).floats());
      }
      Operand<TInt32> tokens = run.ints();
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens), Dropout.none());
      for (int i = 0; expected.containsKey("in" + i + "/tokens"); i++) {
        Map<Operand<TInt32>, NpyArray> feeds = Map.of(tokens, expected.get("in" + i + "/tokens"));
        for (Map.Entry<String, NpyArray> output : outputs(expected, i).entrySet()) {
          Operand<TFloat32> fetch =
              output.getKey().equals("class_logits") ? out.classLogits() : out.logits();
          float[] actual = run.run(feeds, List.of(fetch)).get(0);
          assertThat(ModelRun.error(actual, output.getValue().floats()))
              .as("out" + i + "/" + output.getKey())
              .isLessThan(1e-4);
        }
      }
      checkGradients(run, tokens, out, expected);
    }
  }

  private static void checkGradients(
      ModelRun run, Operand<TInt32> tokens, Outputs out, Map<String, NpyArray> expected) {
    Map<String, NpyArray> gradients = Names.keras().arrays(expected, "grad/", run.config);
    List<String> names = new ArrayList<>(gradients.keySet());
    assertThat(names).hasSizeGreaterThan(30);
    Operand<TFloat32> loss = Losses.crossEntropy(run.tf, out.logits(), tokens, null, 26);
    List<Operand<TFloat32>> fetches = new ArrayList<>(run.gradients(loss, names).values());
    fetches.add(loss);
    List<float[]> actual = run.run(Map.of(tokens, expected.get("grad_in/tokens")), fetches);
    assertThat(ModelRun.error(actual.get(names.size()), expected.get("grad_loss").floats()))
        .isLessThan(1e-5);
    double scale = gradients.values().stream().mapToDouble(a -> max(a.floats())).max().orElse(1);
    for (int i = 0; i < names.size(); i++) {
      float[] should = gradients.get(names.get(i)).floats();
      double floor = Math.max(1, 1e-3 * scale / Math.max(1e-30, max(should)));
      assertThat(ModelRun.error(actual.get(i), should) / floor)
          .as("gradient of " + names.get(i))
          .isLessThan(1e-4);
    }
  }

  private static double max(float[] values) {
    double max = 0;
    for (float value : values) {
      max = Math.max(max, Math.abs(value));
    }
    return max;
  }

  @ParameterizedTest
  @CsvSource("keras3_transformer")
  void classifier(String name) {
    PerformerConfig config =
        Json.config(
            "{task: classification, vocabularySize: 30, maxLength: 64, padId: null, classes: 5,"
                + " maskPooling: false, attention: {exact: true}, "
                + POST_NORM
                + "}");
    Map<String, NpyArray> expected = expected(name);
    try (ModelRun run = new ModelRun(config)) {
      run.load(Names.keras().arrays(expected, "variables/", config));
      Operand<TInt32> tokens = run.ints();
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens), Dropout.none());
      assertThat(out.logits()).isNull();
      for (int i = 0; i < 3; i++) {
        float[] actual =
            run.run(Map.of(tokens, expected.get("in" + i + "/tokens")), List.of(out.classLogits()))
                .get(0);
        assertThat(ModelRun.error(actual, expected.get("out" + i + "/logits").floats()))
            .isLessThan(1e-5);
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          bert_softmax   | preset: bert, task: encoder, activation: gelu-tanh, padId: null
          kernel_encoder | preset: kernel-encoder, attention: {modelGarden: {numRandomFeatures: 16}}
          """)
  void encoders(String name, String keys) {
    PerformerConfig config =
        Json.config(
            "{%s, vocabularySize: 50, hiddenSize: 32, layers: 2, heads: 4, mlpSize: 64, maxLength: 64}"
                .formatted(keys));
    Map<String, NpyArray> expected = expected(name);
    try (ModelRun run = new ModelRun(config)) {
      run.load(Names.modelGarden().arrays(expected, "variables/", config));
      Operand<TInt32> tokens = run.ints();
      Operand<TFloat32> mask = run.floats(2);
      Operand<TInt32> types = run.ints();
      Outputs out =
          run.performer.apply(
              run.tf, Inputs.of(tokens, mask).withTokenTypes(types), Dropout.none());
      for (int i = 0; i < 3; i++) {
        Map<Operand<?>, NpyArray> feeds = new LinkedHashMap<>();
        feeds.put(tokens, expected.get("in" + i + "/input_word_ids"));
        feeds.put(mask, expected.get("in" + i + "/input_mask"));
        feeds.put(types, expected.get("in" + i + "/input_type_ids"));
        List<float[]> actual = run.run(feeds, List.of(out.sequence(), out.pooled()));
        assertThat(
                ModelRun.error(
                    actual.get(0), expected.get("out" + i + "/sequence_output").floats()))
            .isLessThan(1e-5);
        assertThat(
                ModelRun.error(actual.get(1), expected.get("out" + i + "/pooled_output").floats()))
            .isLessThan(1e-5);
      }
    }
  }

  private static Map<String, NpyArray> outputs(Map<String, NpyArray> expected, int i) {
    Map<String, NpyArray> outputs = new TreeMap<>();
    String prefix = "out" + i + "/";
    expected.forEach(
        (name, array) -> {
          if (name.startsWith(prefix)) {
            outputs.put(name.substring(prefix.length()), array);
          }
        });
    assertThat(outputs).isNotEmpty();
    return outputs;
  }

  private static Map<String, NpyArray> expected(String name) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    Names.renamed(Npz.read(Path.of("savedmodels", "reference", name, "expected.npz")))
        .forEach(
            (key, array) ->
                arrays.put(
                    key.replace("transformer/layer_", "layer_")
                        .replace("transformer_scaffold_1/", "layer_1/")
                        .replace("transformer_scaffold/", "layer_0/"),
                    array));
    return arrays;
  }
}
