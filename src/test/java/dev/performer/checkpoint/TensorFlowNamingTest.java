package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.model.Performer.Outputs;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Python's checkpoints give Python's outputs, with projections that nobody gave. */
class TensorFlowNamingTest {

  private static ModelWeights load(Path path, NamingScheme scheme) {
    try (WeightFile weights = ReaderTest.open(path)) {
      assertThat(scheme.recognizes(weights)).isTrue();
      return scheme.map(new WeightMap(weights, "test", ImportOptions.NONE));
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
    List<ImportedOutputs.Fed> fed = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      fed.add(
          new ImportedOutputs.Fed(
              expected.get("in" + i + "/input_word_ids"),
              expected.get("in" + i + "/input_mask"),
              expected.get("in" + i + "/input_type_ids")));
    }
    List<float[]> found = ImportedOutputs.run(imported, fed, Outputs::sequence, Outputs::pooled);
    for (int i = 0; i < 3; i++) {
      ImportedOutputs.assertClose(found.get(2 * i), expected.get("out" + i + "/sequence_output"));
      ImportedOutputs.assertClose(found.get(2 * i + 1), expected.get("out" + i + "/pooled_output"));
    }
  }

  /** Other sizes, scaffold numbers that do not begin at 0, other kinds. */
  @ParameterizedTest
  @CsvSource({
    "k_relu, m.keras",
    "k_begin, m.keras",
    "k_first, m.h5",
    "b_first, m.keras",
    "bert, m.h5"
  })
  void modelGardenOfOtherKinds(String model, String file) {
    Path folder = ReferenceModels.directory("checkpoints/model_garden").resolve(model);
    ModelWeights imported = Checkpoints.load(folder.resolve(file), ImportOptions.NONE);
    checkOtherKind(imported, folder);
  }

  @Test
  void kernelAndFeaturesAreGiven() {
    Path folder = ReferenceModels.directory("checkpoints/model_garden").resolve("k_relu");
    ImportOptions given =
        ImportOptions.builder()
            .favor(FavorConfig.builder().kernel(Kernel.RELU).features(10))
            .build();
    checkOtherKind(Checkpoints.load(folder, given), folder);
  }

  @Test
  void beginKernelMustBeGiven() {
    Path folder = ReferenceModels.directory("checkpoints/model_garden").resolve("k_begin");
    ImportOptions given = ImportOptions.builder().favor(FavorConfig.builder().features(7)).build();
    assertThatThrownBy(() -> Checkpoints.load(folder, given))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("begin_kernel");
  }

  private static void checkOtherKind(ModelWeights imported, Path folder) {
    Map<String, NpyArray> e = dev.performer.data.Npz.read(folder.resolve("expected.npz"));
    var fed = new ImportedOutputs.Fed(e.get("tokens"), e.get("mask"), e.get("types"));
    List<float[]> found =
        ImportedOutputs.run(imported, List.of(fed), Outputs::sequence, Outputs::pooled);
    ImportedOutputs.assertClose(found.get(0), e.get("sequence"));
    ImportedOutputs.assertClose(found.get(1), e.get("pooled"));
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
    try (WeightFile weights = ReaderTest.open(path)) {
      imported = new KerasPerformerNaming().map(new WeightMap(weights, "test", seed(3)));
    }
    Map<String, NpyArray> expected = expected(model);
    checkProjections(imported, expected, "P/favor_");
    List<ImportedOutputs.Fed> fed = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      fed.add(new ImportedOutputs.Fed(expected.get("in" + i + "/tokens"), null, null));
    }
    List<float[]> logits = ImportedOutputs.run(imported, fed, Outputs::logits);
    List<float[]> classes =
        expected.containsKey("out0/class_logits")
            ? ImportedOutputs.run(imported, fed, Outputs::classLogits)
            : List.of();
    for (int i = 0; i < 4; i++) {
      ImportedOutputs.assertClose(logits.get(i), expected.get("out" + i + "/" + output));
      NpyArray expectedClasses = expected.get("out" + i + "/class_logits");
      if (expectedClasses != null) {
        ImportedOutputs.assertClose(classes.get(i), expectedClasses);
      }
    }
  }

  /** What no weights tell is given, without the configuration that lies beside them. */
  @Test
  void theWindowIsGiven(@TempDir Path folder) throws IOException {
    Path source = ReferenceModels.directory("checkpoints/protein_relu_causal");
    Path alone = Files.copy(source.resolve("weights.h5"), folder.resolve("weights.h5"));
    ImportOptions.Builder given = ImportOptions.builder().favor(reluOf16().causal(true));
    assertThatThrownBy(() -> Checkpoints.load(alone, given.build()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("window")
        .satisfies(e -> assertThat(((PerformerException) e).settings()).contains("window"));
    ModelWeights imported = Checkpoints.load(alone, given.favor(reluOf16()).window(64).build());
    Map<String, NpyArray> expected = expected("protein_relu_causal");
    ImportedOutputs.assertClose(
        ImportedOutputs.run(imported, expected.get("in0/tokens"), null, null, Outputs::logits),
        expected.get("out0/logits"));
  }

  private static FavorKeys reluOf16() {
    return FavorConfig.builder().seed(3L).kernel(Kernel.RELU).features(16);
  }

  /** Norms before each part, in weights that lie alone. */
  @Test
  void normFirstIsGiven(@TempDir Path folder) throws IOException {
    Path source = ReferenceModels.directory("checkpoints/model_garden").resolve("b_first");
    Path alone = folder.resolve("weights.npz");
    Map<String, NpyArray> arrays = new java.util.LinkedHashMap<>();
    try (WeightFile file = ReaderTest.open(source.resolve("m.keras"))) {
      file.tensors().keySet().forEach(tensor -> arrays.put(tensor, file.read(tensor)));
    }
    dev.performer.data.Npz.write(alone, arrays);
    ImportOptions.Builder given = ImportOptions.builder().preset("bert");
    ModelWeights assumed = Checkpoints.load(alone, given.build());
    assertThat(assumed.notes()).anyMatch(note -> note.contains("option normFirst"));
    checkOtherKind(Checkpoints.load(alone, given.normFirst(true).build()), source);
  }

  static ImportOptions seed(long seed) {
    return ImportOptions.builder().favor(FavorConfig.builder().seed(seed)).build();
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
  void featuresMustBeGiven(@TempDir Path folder) throws IOException {
    Path alone = folder.resolve("weights.h5");
    Files.copy(
        ReferenceModels.directory("checkpoints/kernel_encoder").resolve("weights.h5"), alone);
    try (KerasFile file = KerasFile.open(alone)) {
      assertThatThrownBy(
              () -> new ModelGardenNaming().map(new WeightMap(file, "test", ImportOptions.NONE)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("features")
          .satisfies(e -> assertThat(((PerformerException) e).settings()).contains("features"));
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

  /** Keras numbers layers of a class in their order, and leaves out the first one's 0. */
  @Test
  void layersOfKerasByAMappingFile() {
    Path folder = ReferenceModels.directory("checkpoints/keras_attention");
    ImportOptions options = ImportOptions.builder().mapping(folder.resolve("mapping.json")).build();
    ModelWeights model = Checkpoints.load(folder.resolve("model.keras"), options);
    Map<String, NpyArray> expected = Npz.read(folder.resolve("expected.npz"));
    float[] logits =
        ImportedOutputs.run(model, expected.get("tokens"), null, null, Outputs::logits);
    assertThat(logits).containsExactly(expected.get("logits").floats(), within(1e-4f));
  }
}
