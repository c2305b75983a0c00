package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Session;

/**
 * The models of make_models.py: one signature for each op with a gradient or rewrite of our own.
 */
class MadeModelsTest {
  private static final Set<String> WITHOUT = Set.of("resource_gather_batch", "concat"); // in Python
  private static final Path OPS = directory("ops");

  private static Path directory(String name) {
    return ReferenceModels.directory("made/" + name).resolve("saved_model");
  }

  static List<String> opSignatures() {
    return List.copyOf(SavedModelDirectory.open(OPS).signatures().keySet());
  }

  static Stream<Arguments> opsAndIndices() {
    return Stream.of("ops", "indices")
        .flatMap(
            name ->
                SavedModelDirectory.open(directory(name)).signatures().keySet().stream()
                    .map(signature -> Arguments.of(name, signature)));
  }

  @ParameterizedTest
  @MethodSource("opsAndIndices")
  void differentiatesOpLikePython(String name, String signature) {
    Map<String, NpyArray> expected =
        ReferenceModels.under(ReferenceModels.arrays("made/" + name, "expected.npz"), signature);
    try (ImportedModel model = ImportedModel.load(directory(name), signature)) {
      compareOutputs(model, signature, expected);
      assertThat(model.trainability().isTrainable()).as(model.trainability().summary()).isTrue();
      Map<String, double[]> gradients =
          ModelComparison.gradients(model, signature, ReferenceModels.under(expected, "in0"));
      Map<Integer, String> captured = ModelComparison.captured(model.directory(), signature);
      Map<String, NpyArray> python = ReferenceModels.under(expected, "grad");
      assertThat(python.isEmpty()).isEqualTo(WITHOUT.contains(signature));
      python.forEach(
          (position, array) -> {
            String node = captured.get(Integer.parseInt(position));
            // Python gives zeros for the statistics of a batch normalization.
            double[] none = new double[array.size()];
            assertThat(ModelComparison.difference(gradients.getOrDefault(node, none), array))
                .as("gradient of %s", node)
                .isLessThan(1e-5);
          });
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tf1_reference",
        "tf1_resource",
        "tf1_partitioned",
        "tf1_batch_norm_reference",
        "tf1_batch_norm_resource"
      })
  void trainsModelsOfTensorFlow1(String name) {
    Path directory = ReferenceModels.directory("made/" + name).resolve("saved_model");
    Map<String, NpyArray> expected =
        ReferenceModels.under(
            ReferenceModels.arrays("made/" + name, "expected.npz"), "serving_default");
    try (ImportedModel model = ImportedModel.load(directory)) {
      compareOutputs(model, "serving_default", expected);
      Map<String, double[]> gradients =
          ModelComparison.gradients(
              model, "serving_default", ReferenceModels.under(expected, "in0"));
      Map<String, NpyArray> python = ReferenceModels.under(expected, "grad");
      assertThat(gradients).containsOnlyKeys(python.keySet());
      python.forEach(
          (variable, array) ->
              assertThat(ModelComparison.difference(gradients.get(variable), array))
                  .as(variable)
                  .isLessThan(1e-5));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"level", "counted", "lookup"})
  void importsStructure(String signature) {
    Path directory = ReferenceModels.directory("made/structure").resolve("saved_model");
    Map<String, NpyArray> expected =
        ReferenceModels.under(ReferenceModels.arrays("made/structure", "expected.npz"), signature);
    try (ImportedModel model = ImportedModel.load(directory, signature)) {
      compareOutputs(model, signature, expected);
      Map<String, double[]> gradients =
          ModelComparison.gradients(model, signature, ReferenceModels.under(expected, "in0"));
      Map<Integer, String> captured = ModelComparison.captured(model.directory(), signature);
      ReferenceModels.under(expected, "grad")
          .forEach(
              (position, array) ->
                  assertThat(
                          ModelComparison.difference(
                              gradients.get(captured.get(Integer.parseInt(position))), array))
                      .isLessThan(1e-5));
    }
  }

  @Test
  void runsAndTrainsWhatTensorFlowSavedOfKeras3(@TempDir Path scratch) {
    Path directory = ReferenceModels.directory("made/keras").resolve("saved_model");
    Map<String, NpyArray> expected =
        ReferenceModels.under(
            ReferenceModels.arrays("made/keras", "expected.npz"), "serving_default");
    Path copy = scratch.resolve("copy");
    try (ImportedModel model = ImportedModel.load(directory)) {
      compareOutputs(model, "serving_default", expected);
      assertThat(model.directory().variables()).hasSize(9).allMatch(VariableSpec::isStored);
      Map<String, double[]> gradients =
          ModelComparison.gradients(
              model, "serving_default", ReferenceModels.under(expected, "in0"));
      Map<Integer, String> captured =
          ModelComparison.captured(model.directory(), "serving_default");
      Map<String, NpyArray> python = ReferenceModels.under(expected, "grad");
      assertThat(gradients).hasSameSizeAs(python);
      python.forEach(
          (position, array) ->
              assertThat(
                      ModelComparison.difference(
                          gradients.get(captured.get(Integer.parseInt(position))), array))
                  .isLessThan(1e-5));
      try (Session session = new Session(model.graph())) {
        model.restore(session);
        WeightReplacement.of(directory).export(session, model.variables(), copy);
      }
    }
    for (Path saved : List.of(directory, copy)) {
      try (SavedModelPredictor predictor = SavedModelPredictor.load(saved)) {
        NpyArray y =
            predictor.predict("serving_default", ReferenceModels.under(expected, "in0")).get("y");
        assertThat(ModelComparison.difference(y.doubles(), expected.get("out/y"))).isLessThan(1e-5);
      }
    }
  }

  private static void compareOutputs(
      ImportedModel model, String signature, Map<String, NpyArray> expected) {
    Map<String, double[]> outputs =
        ModelComparison.predict(model, signature, ReferenceModels.under(expected, "in0"));
    ReferenceModels.under(expected, "out")
        .forEach(
            (name, array) ->
                assertThat(ModelComparison.difference(outputs.get(name), array))
                    .as(name)
                    .isLessThan(1e-5));
  }

  @Test
  void signaturesOfOneModelShareOneGraph() {
    try (ImportedModel model = ImportedModel.load(SavedModelDirectory.open(OPS), opSignatures())) {
      assertThat(model.variables()).hasSize(6);
    }
  }
}
