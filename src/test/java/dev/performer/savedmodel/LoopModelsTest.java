package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.graph.Variable;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The models of make_loops.py: loops, tensor lists, branches and recurrent layers. */
class LoopModelsTest {
  static Stream<String> signatures() {
    return Stream.of("loops", "recurrent")
        .flatMap(
            name ->
                SavedModelDirectory.open(path(name)).signatures().keySet().stream()
                    .filter(signature -> !signature.endsWith("_random"))
                    .map(signature -> name + " " + signature));
  }

  private static Path path(String name) {
    return ReferenceModels.directory("made/" + name).resolve("saved_model");
  }

  @ParameterizedTest
  @MethodSource("signatures")
  void differentiatesLikePython(String test) {
    String name = test.split(" ")[0];
    String signature = test.split(" ")[1];
    var expected =
        ReferenceModels.under(ReferenceModels.arrays("made/" + name, "expected.npz"), signature);
    try (ImportedModel model = ImportedModel.load(path(name), signature)) {
      var inputs = ReferenceModels.under(expected, "in0");
      var outputs = ModelComparison.predict(model, signature, inputs);
      double error = ModelComparison.difference(outputs.get("y"), expected.get("out/y"));
      assertThat(error).isLessThan(1e-5);
      assertThat(model.trainability().isTrainable()).as(model.trainability().summary()).isTrue();
      Map<String, double[]> gradients = ModelComparison.gradients(model, signature, inputs);
      Map<String, NpyArray> python = ReferenceModels.under(expected, "grad");
      List<Variable> variables = model.trainability().trainable();
      assertThat(variables).extracting(Variable::name).containsAll(python.keySet());
      for (Variable variable : variables) {
        double[] gradient = gradients.get(variable.handle().op().name());
        NpyArray wanted = python.get(variable.name());
        if (wanted == null) { // Python finds that nothing depends on it
          assertThat(gradient).as(variable.name()).containsOnly(0);
        } else {
          assertThat(ModelComparison.difference(gradient, wanted))
              .as(variable.name())
              .isLessThan(1e-5);
        }
      }
    }
  }
}
