package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.checkpoint.ModelWeights.OptimizerState;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.model.Performer;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.training.ImportedWeights;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Adam's moments as Python had them, from every form that Keras saves them in. */
class KerasOptimizerTest {
  private static final Path ALL = ReferenceModels.directory("checkpoints/optimizers");
  private static final ImportOptions HEADS = ImportOptions.builder().heads(2).build();

  @ParameterizedTest
  @CsvSource({
    "keras2, ckpt",
    "keras2, model.h5",
    "keras2_adamw, ckpt",
    "keras2_adamw, model.h5",
    "keras2_legacy, ckpt",
    "keras2_legacy, model.h5",
    "keras3, model.keras"
  })
  void momentsAndStep(String name, String file) {
    ModelWeights model = Checkpoints.load(ALL.resolve(name).resolve(file), HEADS);
    Map<String, NpyArray> expected = Npz.read(ALL.resolve(name).resolve("expected.npz"));
    OptimizerState state = model.optimizer().orElseThrow(() -> new AssertionError(model.notes()));
    assertThat(state.step()).isEqualTo(4).isEqualTo(expected.get("step").longs()[0]);
    assertThat(state.firstMoments()).isEqualTo(ReferenceModels.under(expected, "m"));
    assertThat(state.secondMoments()).isEqualTo(ReferenceModels.under(expected, "v"));
    assertThat(state.firstMoments().keySet()).isEqualTo(Performer.shapes(model.config()).keySet());
  }

  @ParameterizedTest
  @CsvSource({
    "keras2_adamax, model.h5, not Adam's",
    "keras3_sgd, model.keras, no moments of",
    "keras3, model.weights.h5, no moments of"
  })
  void whatCannotGoOnIsNamed(String name, String file, String why) {
    ModelWeights model = Checkpoints.load(ALL.resolve(name).resolve(file), HEADS);
    assertThat(model.optimizer()).isEmpty();
    assertThat(model.notes()).anyMatch(note -> note.contains("optimizer") && note.contains(why));
  }

  @Test
  void projectionsHaveNoMoments() {
    Path path = ReferenceModels.directory("checkpoints/protein_exp").resolve("checkpoint/ckpt");
    ModelWeights model = Checkpoints.load(path, TensorFlowNamingTest.seed(3));
    OptimizerState state = model.optimizer().orElseThrow(() -> new AssertionError(model.notes()));
    assertThat(state.step()).isPositive();
    assertThat(state.firstMoments().keySet())
        .noneMatch(variable -> variable.endsWith("/projection"))
        .hasSize(
            (int)
                model.weights().keySet().stream().filter(v -> !v.endsWith("/projection")).count());
    state
        .secondMoments()
        .forEach(
            (variable, v) ->
                assertThat(v.doubles())
                    .as(variable)
                    .satisfies(
                        d ->
                            assertThat(java.util.Arrays.stream(d).min().orElse(0))
                                .isNotNegative()));
  }

  @Test
  void theyLieInTheModelThatIsWritten(@TempDir Path folder) {
    Path source = ALL.resolve("keras2_legacy").resolve("ckpt");
    Path target = folder.resolve("model");
    ImportedWeights.of(Checkpoints.load(source, HEADS), source, false).write(target, false);
    Path optimizer = target.resolve("assets.extra").resolve("optimizer");
    assertThat(Files.isDirectory(optimizer)).isTrue();
    Map<String, NpyArray> expected = Npz.read(ALL.resolve("keras2_legacy").resolve("expected.npz"));
    try (WeightFile written = Checkpoints.open(optimizer)) {
      NpyArray first =
          written.tensors().keySet().stream()
              .filter(name -> name.endsWith("/m/layer_1/attention/key/kernel"))
              .map(name -> read(written, name))
              .findFirst()
              .orElseThrow(() -> new AssertionError(written.tensors().keySet()));
      assertThat(first).isEqualTo(expected.get("m/layer_1/attention/key/kernel"));
    }
  }

  private static NpyArray read(WeightFile file, String name) {
    return ((TensorFlowCheckpoint) file).read(name);
  }
}
