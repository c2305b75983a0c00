package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.nn.SparseSoftmaxCrossEntropyWithLogits;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Models with Performer and softmax attention, saved by tf.Module, Keras 2, Keras 3 and Google's
 * code.
 */
class ImportedModelTest {

  @ParameterizedTest
  @CsvSource({
    "bert_softmax, saved_model",
    "bert_softmax, keras_saved_model",
    "gr_relu_bidir, saved_model",
    "gr_relu_bidir, keras_saved_model",
    "gr_relu_causal, saved_model",
    "gr_relu_causal_L8_keras, saved_model",
    "gr_relu_causal_L8_keras, keras_saved_model",
    "gr_softmax_P_bidir, saved_model",
    "gr_softmax_P_causal, saved_model",
    "keras3_transformer, exported_saved_model",
    "kernel_encoder, saved_model",
    "kernel_encoder, keras_saved_model",
    "protein_exp, saved_model",
    "protein_exp, keras_saved_model",
    "protein_exp, train_saved_model",
    "protein_relu_causal, saved_model",
    "protein_relu_causal, keras_saved_model",
    "protein_relu_causal, train_saved_model",
  })
  void predictsAndDifferentiatesLikePython(String model, String form) {
    Path directory = ReferenceModels.directory("models/" + model).resolve(form);
    Map<String, NpyArray> expected = ReferenceModels.arrays("models/" + model, "expected.npz");
    Map<String, NpyArray> python =
        ReferenceModels.arrays("models/" + model, form + ".gradients.npz");
    try (ImportedModel imported = ImportedModel.load(directory)) {
      String signature = ImportedModel.DEFAULT_SIGNATURE;
      Map<String, NpyArray> inputs = byInputName(imported, ReferenceModels.under(expected, "in0"));
      Map<String, double[]> outputs = ModelComparison.predict(imported, signature, inputs);
      ReferenceModels.under(python, "out")
          .forEach(
              (name, array) ->
                  assertThat(ModelComparison.difference(outputs.get(name), array))
                      .as("output %s", name)
                      .isLessThan(1e-5));
      assertThat(imported.trainability().isTrainable())
          .as(imported.trainability().summary())
          .isTrue();
      compareGradients(imported, inputs, ReferenceModels.under(python, "grad"));
    }
  }

  /** Keras 3 calls its only input after the layer, the arrays are called as the user would. */
  private static Map<String, NpyArray> byInputName(
      ImportedModel imported, Map<String, NpyArray> arrays) {
    List<String> names =
        List.copyOf(imported.signatures().get("serving_default").inputs().keySet());
    if (names.size() == 1 && arrays.size() == 1) {
      return Map.of(names.get(0), arrays.values().iterator().next());
    }
    return arrays;
  }

  private static void compareGradients(
      ImportedModel imported, Map<String, NpyArray> inputs, Map<String, NpyArray> python) {
    Map<String, double[]> gradients =
        ModelComparison.gradients(imported, "serving_default", inputs);
    Map<Integer, String> captured =
        ModelComparison.captured(imported.directory(), "serving_default");
    assertThat(python).isNotEmpty();
    python.forEach(
        (position, array) -> {
          String node = captured.get(Integer.parseInt(position));
          assertThat(gradients).as("gradients").containsKey(node);
          assertThat(ModelComparison.difference(gradients.get(node), array))
              .as("gradient of %s", node)
              .isLessThan(5e-5);
        });
    assertThat(gradients).hasSameSizeAs(python);
  }

  @ParameterizedTest
  @CsvSource({"protein_exp, lm_logits", "protein_relu_causal, logits"})
  void differentiatesCrossEntropyLikePython(String model, String output) {
    Map<String, NpyArray> expected = ReferenceModels.arrays("models/" + model, "expected.npz");
    Path directory = ReferenceModels.directory("models/" + model).resolve("saved_model");
    try (ImportedModel imported = ImportedModel.load(directory)) {
      Ops tf = Ops.create(imported.graph());
      Output<TFloat32> logits = floats(imported.output("serving_default", output));
      Output<TInt32> tokens = ints(imported.input("serving_default", "tokens"));
      Operand<TInt32> flat = tf.reshape(tokens, tf.constant(new int[] {-1}));
      Operand<TFloat32> rows = tf.reshape(logits, tf.constant(new int[] {-1, 26}));
      Operand<TFloat32> losses =
          SparseSoftmaxCrossEntropyWithLogits.create(tf.scope(), rows, flat).loss();
      Output<?> loss = tf.math.mean(losses, tf.constant(0)).asOutput();
      Map<String, NpyArray> python = ReferenceModels.under(expected, "grad");
      List<Variable> variables =
          imported.variables().stream().filter(v -> python.containsKey(v.name() + ":0")).toList();
      Map<String, double[]> gradients =
          ModelComparison.gradients(
              imported,
              "serving_default",
              ReferenceModels.under(expected, "grad_in"),
              loss,
              variables);
      assertThat(variables).hasSizeGreaterThan(30);
      for (Variable variable : variables) {
        assertThat(
                ModelComparison.difference(
                    gradients.get(variable.handle().op().name()),
                    python.get(variable.name() + ":0")))
            .as(variable.name())
            .isLessThan(1e-5);
      }
    }
  }

  @Test
  void sharesVariablesBetweenSignatures() {
    Path directory = ReferenceModels.directory("models/protein_exp").resolve("saved_model");
    try (ImportedModel one = ImportedModel.load(directory);
        ImportedModel both = ImportedModel.load(directory, "serving_default", "embed")) {
      assertThat(names(both)).containsExactlyInAnyOrderElementsOf(names(one));
      assertThat(both.signatures().keySet()).containsExactly("serving_default", "embed");
      assertThat(both.variables())
          .allSatisfy(v -> assertThat(v.checkpointKey()).endsWith(".ATTRIBUTES/VARIABLE_VALUE"));
    }
  }

  /** By path where Python has no name, or one for several; with its own name otherwise. */
  @Test
  void namesPlainVariablesByTheirPath() {
    Path directory = ReferenceModels.directory("made/plain").resolve("saved_model");
    try (ImportedModel model = ImportedModel.load(directory)) {
      assertThat(names(model))
          .containsExactlyInAnyOrder(
              "table",
              "layers/0/w",
              "layers/0/b",
              "layers/1/w",
              "layers/1/b",
              "heads/a/w",
              "heads/a/b",
              "heads/b.c",
              "factor");
      assertThat(model.variables())
          .filteredOn(v -> !v.name().equals("factor"))
          .allSatisfy(
              v ->
                  assertThat(v.checkpointKey())
                      .isEqualTo(Variables.checkpointKey(v.name().replace(".", ".."))));
    }
    var all = SavedModelDirectory.open(directory).variables();
    assertThat(all)
        .filteredOn(v -> !v.trainable())
        .map(VariableSpec::name)
        .contains("idle/0", "idle/1");
  }

  /** Keras 3 stores each variable twice; the used one keeps its name. */
  @Test
  void namesVariablesOnce() {
    Path directory =
        ReferenceModels.directory("models/keras3_transformer").resolve("exported_saved_model");
    try (ImportedModel model = ImportedModel.load(directory)) {
      assertThat(names(model))
          .hasSize(36)
          .doesNotHaveDuplicates()
          .contains("head/kernel", "embed/embeddings", "embed/embeddings_1", "mha_0/query/kernel");
      Map<String, String> copies = copies(model);
      assertThat(model.variables())
          .allSatisfy(
              v ->
                  assertThat(copies.keySet())
                      .filteredOn(copy -> copies.get(copy).equals(v.checkpointKey()))
                      .singleElement()
                      .asString()
                      .startsWith("variables/"));
      assertThat(model.directory().variables())
          .extracting(VariableSpec::name)
          .doesNotHaveDuplicates();
    }
  }

  private static Map<String, String> copies(ImportedModel model) {
    SavedModelDirectory directory = model.directory();
    Set<String> keys =
        model.variables().stream().map(Variable::checkpointKey).collect(Collectors.toSet());
    try (CheckpointReader checkpoint = CheckpointReader.open(directory.variablesPrefix())) {
      return WeightReplacement.copies(directory.path().resolve("saved_model.pb"), checkpoint, keys);
    }
  }

  private static List<String> names(ImportedModel model) {
    return model.variables().stream().map(Variable::name).collect(Collectors.toList());
  }

  @SuppressWarnings("unchecked")
  private static Output<TFloat32> floats(Output<?> output) {
    return (Output<TFloat32>) output;
  }

  @SuppressWarnings("unchecked")
  private static Output<TInt32> ints(Output<?> output) {
    return (Output<TInt32>) output;
  }
}
