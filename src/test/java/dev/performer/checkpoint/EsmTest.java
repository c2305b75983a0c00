package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.checkpoint.ImportedOutputs.Fed;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.StrictJson;
import dev.performer.model.FavorConversion;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** ESM computes what PyTorch's transformers compute, by whatever its names are known. */
class EsmTest {
  private static final Path ALL = ReferenceModels.directory("checkpoints/torch_families");
  private static final Path MLM = ALL.resolve("esm2_mlm");
  private static final String SCHEME = "Hugging Face ESM";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"esm2_mlm", "esm2_encoder", "esm2_classifier", "esm1b_mlm"})
  void computesWhatPythonDoes(String name) {
    assertThat(FamilyCase.of(ALL.resolve(name)).check()).isEqualTo(SCHEME);
  }

  /** The weights of a model under other names; null leaves one out. */
  private Path renamed(String model, UnaryOperator<String> name) throws IOException {
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    try (WeightFile file = Checkpoints.open(ALL.resolve(model))) {
      for (String tensor : file.tensors().keySet()) {
        String other = name.apply(tensor);
        if (other != null) {
          weights.put(other, file.read(tensor));
        }
      }
    }
    Path target = folder.resolve("renamed.npz");
    Npz.write(target, weights);
    return target;
  }

  /** The config.json of a model beside such weights, with another value. */
  private void configBeside(String model, String key, String value) throws IOException {
    ObjectNode config = (ObjectNode) StrictJson.readTree(ALL.resolve(model).resolve("config.json"));
    if (value == null) {
      config.remove(key);
    } else {
      config.set(key, new ObjectMapper().readTree(value));
    }
    Files.writeString(folder.resolve("config.json"), config.toString());
  }

  private static void refused(Path path, String... parts) {
    assertThatThrownBy(() -> Checkpoints.load(path, ImportOptions.NONE))
        .isInstanceOf(PerformerException.class)
        .satisfies(e -> assertThat(e.getMessage()).contains(parts).doesNotContain("\n"));
  }

  @Test
  void namesTellWhereNoConfigDoes() throws IOException {
    ModelWeights known = Checkpoints.load(MLM, ImportOptions.NONE);
    ImportOptions heads = ImportOptions.builder().heads(2).build();
    ModelWeights found = Checkpoints.load(renamed("esm2_mlm", n -> n), heads);
    assertThat(found.scheme()).isEqualTo(SCHEME);
    assertThat(found.config().with("maxLength=26")).isEqualTo(known.config());
    assertThat(found.weights()).isEqualTo(known.weights());
    assertThat(found.notes()).anyMatch(note -> note.contains("token dropout is assumed"));

    UnaryOperator<String> bare = n -> n.startsWith("esm.") ? n.substring(4) : null;
    ModelWeights body = Checkpoints.load(renamed("esm2_mlm", bare), heads);
    assertThat(body.scheme()).isEqualTo(SCHEME);
    assertThat(known.weights()).containsAllEntriesOf(body.weights());
    refused(renamed("esm2_mlm", n -> n), "number of heads");
  }

  @ParameterizedTest
  @ValueSource(strings = {"EsmForMaskedLM", "TFEsmForMaskedLM"})
  void anArchitectureTellsWhereNoModelTypeDoes(String architecture) throws IOException {
    Path path = renamed("esm2_mlm", n -> n);
    configBeside("esm2_mlm", "model_type", null);
    String text = Files.readString(folder.resolve("config.json"));
    Files.writeString(folder.resolve("config.json"), text.replace("EsmForMaskedLM", architecture));
    assertThat(Checkpoints.load(path, ImportOptions.NONE).scheme()).isEqualTo(SCHEME);
  }

  /** RoBERTa's blocks are called alike, but are others. */
  @Test
  void isNeverReadAsRoberta() throws IOException {
    Path path = renamed("esm2_mlm", n -> n);
    configBeside("esm2_mlm", "model_type", "\"roberta\"");
    refused(path, "no model that is known here");
    Path bare = renamed("esm2_mlm", n -> n.replaceFirst("^esm\\.", ""));
    refused(bare, "its positions are rotary");
    ImportOptions given = ImportOptions.builder().scheme(SCHEME).build();
    assertThatThrownBy(() -> Checkpoints.load(bare, given))
        .hasMessageContaining("config.json has roberta, which is none of [esm]");
  }

  @ParameterizedTest
  @CsvSource({
    "position_embedding_type, '\"relative_key\"', 'relative_key; known are absolute and rotary'",
    "is_folding_model, true, is of ESMFold",
    "mask_token_id, , no mask_token_id",
    "is_decoder, true, is_decoder",
    "rope_parameters, '{\"rope_type\": \"yarn\"}', rope_type yarn",
    "num_attention_heads, 4, inv_freq has 3 numbers",
    "architectures, '[\"EsmForTokenClassification\"]', ForTokenClassification",
    "architectures, '[\"EsmForProteinFolding\"]', is of ESMFold"
  })
  void whatIsNotReadIsNamed(String key, String value, String part) throws IOException {
    Path path = renamed("esm2_mlm", n -> n);
    configBeside("esm2_mlm", key, value);
    refused(path, part);
  }

  @Test
  void whatIsMissingOrOfAnotherShapeIsNamed() throws IOException {
    String norm = "esm.encoder.layer.1.attention.LayerNorm.weight";
    String last = "esm.encoder.emb_layer_norm_after.weight";
    Path path = renamed("esm2_mlm", n -> n.equals(norm) ? null : n.equals(last) ? "x" : n);
    configBeside("esm2_mlm", "vocab_list", "null");
    assertThatThrownBy(() -> Checkpoints.load(path, ImportOptions.NONE))
        .hasMessageContaining("missing: layer_1/attention_norm/scale [12]")
        .hasMessageContaining("missing: final_norm/scale [12]")
        .hasMessageContaining("left over: x");
    UnaryOperator<String> swapped =
        n ->
            n.equals("esm.encoder.layer.0.intermediate.dense.bias")
                ? "esm.encoder.layer.0.output.dense.bias"
                : n.equals("esm.encoder.layer.0.output.dense.bias")
                    ? "esm.encoder.layer.0.intermediate.dense.bias"
                    : n;
    assertThatThrownBy(() -> Checkpoints.load(renamed("esm2_mlm", swapped), ImportOptions.NONE))
        .hasMessageContaining("has shape [12], but layer_0/mlp/in/bias has [20]");
  }

  /** Meta's files have frequencies that were rounded to half precision, and so they turn. */
  @Test
  void rotaryFrequenciesAreTheFiles() throws IOException {
    PerformerConfig half = Checkpoints.load(MLM, ImportOptions.NONE).config();
    assertThat(half.rotaryFrequencies()).hasSize(3).startsWith(1.0);
    assertThat(half.rotaryFrequencies().get(1)).isNotEqualTo(Math.pow(10000, -1 / 3.0));
    assertThat(half.rotaryFrequencies().get(1)).isCloseTo(0.0464, within(1e-4));
    PerformerConfig usual =
        Checkpoints.load(ALL.resolve("esm2_encoder"), ImportOptions.NONE).config();
    assertThat(usual.rotaryFrequencies()).isNull();
    assertThat(PerformerConfig.of(half.toJson(), "test")).isEqualTo(half);

    Path none = renamed("esm2_mlm", n -> n.endsWith("inv_freq") ? null : n);
    configBeside("esm2_mlm", "rope_theta", "100");
    List<Double> slower = Checkpoints.load(none, ImportOptions.NONE).config().rotaryFrequencies();
    assertThat(slower.get(2)).isCloseTo(Math.pow(100, -2 / 3.0), within(1e-12));
  }

  private static float[] logits(ModelWeights model, NpyArray tokens, NpyArray mask) {
    return ImportedOutputs.run(model, List.of(new Fed(tokens, mask, null)), Outputs::logits).get(0);
  }

  /**
   * Only chi lengths are unbiased: with them the error goes to 0 as 1/√M. Queries and keys are
   * smaller than random weights make them, as errors grow exponentially with their norms.
   */
  @Test
  void aPerformerOfManyFeaturesComesClose() {
    ModelWeights read = Checkpoints.load(MLM, ImportOptions.NONE);
    Map<String, NpyArray> smaller = new LinkedHashMap<>(read.weights());
    smaller.replaceAll(
        (name, w) -> name.matches(".*/attention/(query|key)/.*") ? scaled(w, 0.25f) : w);
    ModelWeights exact = read.converted(read.config(), smaller, List.of());
    double few = error(exact, favor(exact, 16));
    double many = error(exact, favor(exact, 16 * 64));
    assertThat(many).isLessThan(0.02).isLessThan(few / 4);
  }

  private static NpyArray scaled(NpyArray array, float by) {
    float[] values = array.floats().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] *= by;
    }
    return NpyArray.of(values, array.shape());
  }

  private static ModelWeights favor(ModelWeights exact, int features) {
    var favor =
        FavorConfig.builder()
            .kernel(Kernel.of("hyperbolic"))
            .lengths(Lengths.of("chi"))
            .features(features)
            .seed(3L)
            .build();
    var made = new FavorConversion(favor, Set.of()).apply(exact.config(), exact.weights());
    return exact.converted(made.config(), made.weights(), List.of());
  }

  /** Of logits of real tokens, relative. */
  private static double error(ModelWeights exact, ModelWeights model) {
    var fed = FamilyCase.of(MLM).expected();
    NpyArray mask = fed.get("mask");
    float[] right = logits(exact, fed.get("tokens"), mask);
    float[] found = logits(model, fed.get("tokens"), mask);
    double error = 0;
    double scale = 0;
    for (int i = 0; i < right.length; i++) {
      if (mask.ints()[i / 33] == 1) {
        error += Math.pow(found[i] - right[i], 2);
        scale += Math.pow(right[i], 2);
      }
    }
    return Math.sqrt(error / scale);
  }

  @Test
  void paddingChangesNothingAndMasksAloneAreFinite() {
    ModelWeights model = Checkpoints.load(MLM, ImportOptions.NONE);
    float[] alone = logits(model, NpyArray.of(new int[] {0, 5, 32, 9, 2}, 1, 5), null);
    int[] rows = {0, 5, 32, 9, 2, 1, 1, 32, 32, 32, 32, 32, 32, 32};
    float[] padded = logits(model, NpyArray.of(rows, 2, 7), null);
    float[] same = Arrays.copyOf(padded, alone.length);
    assertThat(same).containsExactly(alone, within(1e-5f));
    for (float x : padded) {
      assertThat(x).isFinite();
    }
  }
}
