package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.model.Outputs;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Python's checkpoints give Python's outputs, with projections that nobody gave. */
class TensorFlowNamingTest {

  private static ModelWeights load(Path path, NamingScheme scheme) {
    try (DescribedWeights weights = ReaderTest.open(path)) {
      assertThat(scheme.recognizes(weights)).isTrue();
      return scheme.map(weights, ImportOptions.NONE);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "kernel_encoder, checkpoint/ckpt",
    "kernel_encoder, checkpoint_numbered",
    "kernel_encoder, weights_tf",
    "kernel_encoder, weights.h5",
    "kernel_encoder, model.h5",
    "kernel_encoder, model.keras",
    "bert_softmax, checkpoint",
    "bert_softmax, checkpoint_numbered",
    "bert_softmax, weights_tf",
    "bert_softmax, weights.h5",
    "bert_softmax, model.h5",
    "bert_softmax, model.keras"
  })
  void modelGarden(String model, String file) {
    ModelWeights imported =
        load(
            ReferenceModels.directory("checkpoints/" + model).resolve(file),
            new ModelGardenNaming());
    Map<String, NpyArray> expected = expected(model);
    checkProjections(imported, expected, "P/");
    for (int i = 0; i < 3; i++) {
      NpyArray tokens = expected.get("in" + i + "/input_word_ids");
      NpyArray mask = expected.get("in" + i + "/input_mask");
      NpyArray types = expected.get("in" + i + "/input_type_ids");
      ImportedOutputs.assertClose(
          ImportedOutputs.run(imported, tokens, mask, types, Outputs::sequence),
          expected.get("out" + i + "/sequence_output"));
      ImportedOutputs.assertClose(
          ImportedOutputs.run(imported, tokens, mask, types, Outputs::pooled),
          expected.get("out" + i + "/pooled_output"));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "protein_exp, checkpoint/ckpt, lm_logits",
    "protein_exp, weights.h5, lm_logits",
    "protein_relu_causal, checkpoint, logits",
    "protein_relu_causal, weights.h5, logits"
  })
  void protein(String model, String file, String output) {
    Path path = ReferenceModels.directory("checkpoints/" + model).resolve(file);
    ModelWeights imported;
    try (DescribedWeights weights = ReaderTest.open(path)) {
      imported = new KerasPerformerNaming().map(weights, seed(3));
    }
    Map<String, NpyArray> expected = expected(model);
    checkProjections(imported, expected, "P/favor_");
    for (int i = 0; i < 4; i++) {
      NpyArray tokens = expected.get("in" + i + "/tokens");
      ImportedOutputs.assertClose(
          ImportedOutputs.run(imported, tokens, null, null, Outputs::logits),
          expected.get("out" + i + "/" + output));
      NpyArray classes = expected.get("out" + i + "/class_logits");
      if (classes != null) {
        ImportedOutputs.assertClose(
            ImportedOutputs.run(imported, tokens, null, null, Outputs::classLogits), classes);
      }
    }
  }

  static ImportOptions seed(long seed) {
    return ImportOptions.builder().seed(seed).build();
  }

  @ParameterizedTest
  @CsvSource({"model.keras", "model.weights.h5"})
  void keras3(String file) {
    ModelWeights imported =
        load(
            ReferenceModels.directory("checkpoints/keras3_transformer").resolve(file),
            new KerasPerformerNaming());
    Map<String, NpyArray> expected = expected("keras3_transformer");
    for (int i = 0; i < 3; i++) {
      ImportedOutputs.assertClose(
          ImportedOutputs.run(
              imported, expected.get("in" + i + "/tokens"), null, null, Outputs::classLogits),
          expected.get("out" + i + "/logits"));
    }
  }

  @Test
  void featuresMustBeSaid(@TempDir Path folder) throws IOException {
    Path alone = folder.resolve("weights.h5");
    Files.copy(
        ReferenceModels.directory("checkpoints/kernel_encoder").resolve("weights.h5"), alone);
    try (KerasFile file = KerasFile.open(alone)) {
      assertThatThrownBy(() -> new ModelGardenNaming().map(file, ImportOptions.NONE))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("--features");
    }
  }

  private static void checkProjections(
      ModelWeights imported, Map<String, NpyArray> expected, String prefix) {
    for (int i = 0; expected.containsKey(prefix + i); i++) {
      ImportedOutputs.assertClose(
          imported.weights().get("layer_" + i + "/attention/projection").floats(),
          expected.get(prefix + i));
    }
  }

  private static Map<String, NpyArray> expected(String model) {
    return ReferenceModels.arrays("checkpoints/" + model, "expected.npz");
  }
}
