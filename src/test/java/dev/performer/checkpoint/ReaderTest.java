package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What Python wrote is read exactly, under the names that Python gave. */
class ReaderTest {

  @ParameterizedTest
  @CsvSource({
    "kernel_encoder, checkpoint/ckpt",
    "kernel_encoder, checkpoint_numbered",
    "kernel_encoder, weights_tf/w.index",
    "kernel_encoder, weights.h5",
    "kernel_encoder, model.h5",
    "bert_softmax, checkpoint",
    "bert_softmax, checkpoint_numbered/ckpt-1",
    "bert_softmax, weights_tf",
    "bert_softmax, weights.h5",
    "bert_softmax, model.h5",
    "protein_exp, checkpoint/ckpt",
    "protein_exp, weights.h5",
    "protein_relu_causal, checkpoint",
    "protein_relu_causal, weights.h5",
    "keras3_transformer, model.keras",
    "keras3_transformer, model.weights.h5",
    "gr_relu_bidir, checkpoint"
  })
  void values(String model, String file) {
    Path directory = ReferenceModels.directory("checkpoints/" + model);
    Map<String, NpyArray> expected = new TreeMap<>();
    ReferenceModels.under(
            ReferenceModels.arrays("checkpoints/" + model, "expected.npz"), "variables")
        .forEach((name, value) -> expected.put(name.replaceFirst(":0$", ""), value));
    try (WeightFile weights = open(directory.resolve(file))) {
      Map<String, NpyArray> found = new TreeMap<>();
      for (String tensor : weights.tensors().keySet()) {
        found.put(weights.variable(tensor), weights.read(tensor));
      }
      assertThat(found).isEqualTo(expected);
    }
  }

  @ParameterizedTest
  @CsvSource({"kernel_encoder, 41", "bert_softmax, 39"})
  void kerasZipHasAllValues(String model, int tensors) {
    Path directory = ReferenceModels.directory("checkpoints/" + model);
    List<NpyArray> expected =
        List.copyOf(
            ReferenceModels.under(
                    ReferenceModels.arrays("checkpoints/" + model, "expected.npz"), "variables")
                .values());
    try (WeightFile weights = open(directory.resolve("model.keras"))) {
      assertThat(weights.modelConfig.isMissingNode()).isFalse();
      List<NpyArray> found = weights.tensors().keySet().stream().map(weights::read).toList();
      assertThat(found).containsExactlyInAnyOrderElementsOf(expected);
    }
  }

  @Test
  void optimizerIsApart() {
    Path directory = ReferenceModels.directory("checkpoints/protein_exp");
    try (WeightFile weights = open(directory.resolve("checkpoint/ckpt"))) {
      assertThat(weights.trainingState()).isNotEmpty();
      assertThat(weights.trainingState().keySet()).anyMatch(name -> name.contains("optimizer"));
      assertThat(weights.trainingState().keySet())
          .allSatisfy(name -> assertThat(weights.read(name)).isNotNull());
    }
    Path keras3 =
        ReferenceModels.directory("checkpoints/keras3_transformer").resolve("model.keras");
    try (WeightFile weights = open(keras3)) {
      assertThat(weights.trainingState()).hasSize(74);
    }
  }

  @Test
  void prefixWithoutData(@TempDir Path folder) throws IOException {
    Path source = ReferenceModels.directory("checkpoints/kernel_encoder").resolve("checkpoint");
    Files.copy(source.resolve("ckpt.index"), folder.resolve("ckpt.index"));
    assertThatThrownBy(() -> TensorFlowCheckpoint.open(folder.resolve("ckpt")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("ckpt.data-00000-of-00001 is missing");
  }

  /** What TensorFlow writes for the prefix {@code DIR/}: {@code DIR/.index} and so on. */
  @Test
  void prefixWithoutName(@TempDir Path folder) throws IOException {
    Path source = ReferenceModels.directory("checkpoints/kernel_encoder").resolve("checkpoint");
    for (String part : new String[] {".index", ".data-00000-of-00001"}) {
      Files.copy(source.resolve("ckpt" + part), folder.resolve(part));
    }
    Path state = folder.resolve("checkpoint");
    for (String named : new String[] {null, ".", "/elsewhere/run/"}) {
      if (named != null) {
        Files.writeString(state, "model_checkpoint_path: \"%s\"\n".formatted(named));
      }
      for (Path path :
          new Path[] {folder, folder.resolve(".index"), named == null ? folder : state}) {
        try (WeightFile weights = open(path);
            WeightFile expected = open(source.resolve("ckpt"))) {
          assertThat(weights.tensors().keySet())
              .isEqualTo(expected.tensors().keySet())
              .isNotEmpty();
          String name = weights.tensors().keySet().iterator().next();
          assertThat(weights.read(name).floats()).isEqualTo(expected.read(name).floats());
        }
      }
    }
  }

  static WeightFile open(Path path) {
    return KerasFile.recognizes(path) ? KerasFile.open(path) : TensorFlowCheckpoint.open(path);
  }
}
