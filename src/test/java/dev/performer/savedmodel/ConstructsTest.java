package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.graph.GradientObstacle;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * One construct of Python's graphs in each model: what can be imported, and what can be trained.
 */
class ConstructsTest {

  @ParameterizedTest
  @ValueSource(
      strings = {
        "batchnorm",
        "bilstm",
        "cond_stateful",
        "cond_tensor",
        "dropout_arg",
        "gru_seq",
        "lstm",
        "map_fn",
        "switch_case",
        "while_static",
        "bn_infer_sig",
        "checknumerics",
        "cond_const",
        "control",
        "conv1d",
        "conv1d_plain",
        "conv2d_bn",
        "custom_grad",
        "depthsep",
        "embed",
        "gather_axis1",
        "gather_neg",
        "layernorm_fused",
        "logsoftmax3",
        "lstm_unroll",
        "mha",
        "nested",
        "recompute_grad",
        "switch_const",
        "xla_jit"
      })
  void trainsLikePython(String construct) {
    Map<String, NpyArray> expected =
        ReferenceModels.arrays("constructs/" + construct, "expected.npz");
    try (ImportedModel model = load(construct)) {
      predicts(model, expected, construct);
      assertThat(model.trainability().isTrainable()).as(model.trainability().summary()).isTrue();
      Map<String, double[]> gradients =
          ModelComparison.gradients(
              model, model.inference("serving_default"), inputs(model, expected));
      Map<Integer, String> captured =
          ModelComparison.captured(model.directory(), "serving_default");
      Map<String, NpyArray> python = ReferenceModels.under(expected, "grad");
      gradients.forEach(
          (node, values) -> {
            String position =
                captured.entrySet().stream()
                    .filter(e -> e.getValue().equals(node))
                    .findFirst()
                    .orElseThrow()
                    .getKey()
                    .toString();
            assertThat(python).containsKey(position);
            assertThat(ModelComparison.difference(values, python.get(position)))
                .as("gradient of %s", node)
                .isLessThan(2e-5);
          });
    }
  }

  @ParameterizedTest
  @CsvSource({"custom_grad_nosave, IdentityN"})
  void predictsAndNamesWhatStopsTraining(String construct, String op) {
    Map<String, NpyArray> expected =
        ReferenceModels.arrays("constructs/" + construct, "expected.npz");
    try (ImportedModel model = load(construct)) {
      predicts(model, expected, construct);
      Trainability trainability = model.trainability();
      assertThat(trainability.isTrainable()).isFalse();
      assertThat(trainability.obstacles()).extracting(GradientObstacle::op).contains(op);
      assertThat(trainability.obstacles())
          .allSatisfy(
              obstacle -> {
                assertThat(obstacle.node()).isNotEmpty();
                assertThat(obstacle.function()).startsWith("__inference_");
              });
      assertThat(trainability.blocked()).isNotEmpty();
    }
  }

  /** An input {@code training} becomes a constant: one import for training, one for inference. */
  @Test
  void aFlagOfTrainingLeavesNoBranch() {
    Map<String, NpyArray> expected =
        ReferenceModels.arrays("constructs/dropout_arg", "expected.npz");
    try (ImportedModel model = load("dropout_arg")) {
      var inputs = inputs(model, expected);
      var still = ModelComparison.predict(model, model.inference("serving_default"), inputs);
      assertThat(ModelComparison.predict(model, "serving_default", inputs).values())
          .allSatisfy(values -> assertThat(still.values()).doesNotContain(values));
    }
  }

  /** Its dropout draws anew in every run: no number can be compared, but it must run. */
  @Test
  void trainsWithDropoutInTheSignature() {
    Map<String, NpyArray> expected =
        ReferenceModels.arrays("constructs/bn_dropout_train_sig", "expected.npz");
    try (ImportedModel model = load("bn_dropout_train_sig")) {
      Map<String, double[]> gradients =
          ModelComparison.gradients(
              model, "serving_default", ReferenceModels.under(expected, "in0"));
      assertThat(gradients).hasSameSizeAs(ReferenceModels.under(expected, "grad"));
      assertThat(gradients.values())
          .allSatisfy(g -> assertThat(Arrays.stream(g).allMatch(Double::isFinite)).isTrue());
    }
  }

  private static ImportedModel load(String construct) {
    return ImportedModel.load(
        ReferenceModels.directory("constructs/" + construct).resolve("saved_model"));
  }

  /** Without an input that says whether it is training, which is a constant in an import. */
  private static Map<String, NpyArray> inputs(ImportedModel model, Map<String, NpyArray> expected) {
    var inputs = ReferenceModels.under(expected, "in0");
    inputs.keySet().retainAll(model.signatures().get("serving_default").inputs().keySet());
    return inputs;
  }

  private static void predicts(
      ImportedModel model, Map<String, NpyArray> expected, String construct) {
    Map<String, double[]> outputs =
        ModelComparison.predict(model, model.inference("serving_default"), inputs(model, expected));
    ReferenceModels.under(expected, "out0")
        .forEach(
            (name, array) ->
                assertThat(ModelComparison.difference(outputs.get(name), array))
                    .as("%s of %s", name, construct)
                    .isLessThan(1e-5));
  }
}
