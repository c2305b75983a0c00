package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.checkpoint.ImportOptions.AttentionKind;
import dev.performer.checkpoint.ModelWeights.OptimizerState;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.ProteinVocabulary;
import dev.performer.model.AttentionConfig;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.Task;
import dev.performer.testing.ReferenceCase;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Checkpoints of Google's JAX models: numbers without being given P, and what is refused. */
class FlaxNamingTest {
  private static final Path MODELS = ReferenceCase.directory("/reference/jax");

  private static Path proteinLm(String name) {
    return MODELS.resolve("protein_lm").resolve(name);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lm_relu", "lm_exact", "lm_softmax_favor", "bert_exact", "bert_softmax_favor"})
  void givesPythonsLogits(String name) {
    Map<String, NpyArray> golden =
        Npz.read(ReferenceCase.directory("/reference/protein_lm_models").resolve(name + ".npz"));
    ModelWeights model = Checkpoints.load(proteinLm(name), ImportOptions.none());
    for (String which : new String[] {"", "2", "3"}) {
      NpyArray tokens = golden.get("tokens" + which);
      float[] logits = ImportedOutputs.run(model, tokens, null, null, Outputs::logits);
      ImportedOutputs.assertClose(logits, golden.get("logits" + which));
    }
    assertThat(model.vocabulary()).contains(ProteinVocabulary.google());
    OptimizerState state = model.optimizer().orElseThrow();
    assertThat(state.step()).isEqualTo(300);
    assertThat(state.firstMoments()).hasSameSizeAs(state.secondMoments());
    state.firstMoments().forEach((k, m) -> assertThat(m.shape()).isEqualTo(weight(model, k)));
  }

  private static long[] weight(ModelWeights model, String name) {
    return model.weights().get(name).shape();
  }

  @ParameterizedTest
  @CsvSource({
    "encoder_cls_generalized, relu,",
    "encoder_mean_softmax, softmax, 6",
    "encoder_mean_learnpos_dotproduct,,",
    "encoder_no_head, relu,"
  })
  void givesLongRangeArenasOutputs(String name, String kernel, Integer features) {
    ImportOptions options =
        ImportOptions.builder()
            .favor(
                FavorConfig.builder()
                    .kernel(kernel == null ? null : Kernel.of(kernel))
                    .features(features))
            .attention(kernel == null ? AttentionKind.EXACT : null)
            .maxLength(12)
            .build();
    Path path = MODELS.resolve("lra").resolve(name);
    ModelWeights model = Checkpoints.load(path, options);
    Map<String, NpyArray> golden =
        Npz.read(ReferenceCase.directory("/reference/lra_models").resolve(name + ".npz"));
    float[] out =
        ImportedOutputs.run(
            model,
            golden.get("tokens"),
            null,
            null,
            o -> o.classLogits() == null ? o.sequence() : o.classLogits());
    ImportedOutputs.assertClose(out, golden.get("out"));
    assertThat(model.optimizer()).isPresent();
    assertThatThrownBy(() -> Checkpoints.load(path, ImportOptions.none()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("kernel")
        .satisfies(e -> assertThat(((PerformerException) e).settings()).contains("kernel"));
  }

  @Test
  void configurationThatDisagreesIsRefusedWithAllThatDisagrees(@TempDir Path folder)
      throws IOException {
    copy("lm_relu", folder, "FlaxLM.emb_dim = 32", "FlaxLM.emb_dim = 48");
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.none()))
        .hasMessageContaining("config.gin")
        .hasMessageContaining("FlaxLM.emb_dim is 48")
        .hasMessageContaining("32");
    copy("lm_relu", folder, "length = 64", "length = 65");
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.none()))
        .hasMessageContaining("make_protein_domain.length is 65");
    copy("lm_relu", folder, "qkv_dim = 8", "qkv_dim = 16");
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.none()))
        .hasMessageContaining("make_fast_generalized_attention.qkv_dim is 16");
    copy("lm_relu", folder, "@make_fast_generalized_attention()", "@make_other()");
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.none()))
        .hasMessageContaining("@make_other()");
    copy("lm_relu", folder, "include_mask = True", "include_mask = False");
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.none()))
        .hasMessageContaining("29 tokens")
        .hasMessageContaining("28");
  }

  @Test
  void withoutConfigurationItSaysWhatToSay(@TempDir Path folder) throws IOException {
    Files.copy(proteinLm("lm_relu").resolve("checkpoint_300"), folder.resolve("checkpoint_300"));
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.none()))
        .hasMessageContaining("config.gin")
        .hasMessageContaining("the task")
        .hasMessageContaining("its kernel")
        .satisfies(e -> assertThat(((PerformerException) e).settings()).contains("task", "kernel"));
    ModelWeights model =
        Checkpoints.load(
            folder,
            ImportOptions.builder()
                .task("causal-lm")
                .favor(FavorConfig.builder().kernel(Kernel.RELU).causal(true))
                .build());
    Map<String, NpyArray> golden =
        Npz.read(ReferenceCase.directory("/reference/protein_lm_models").resolve("lm_relu.npz"));
    float[] logits = ImportedOutputs.run(model, golden.get("tokens"), null, null, Outputs::logits);
    ImportedOutputs.assertClose(logits, golden.get("logits"));
  }

  @Test
  void whatIsGivenGoesBeforeTheConfiguration() {
    ModelWeights exact =
        Checkpoints.load(
            proteinLm("lm_relu"), ImportOptions.builder().attention(AttentionKind.EXACT).build());
    assertThat(exact.config().attentionOf(0)).isInstanceOf(AttentionConfig.Exact.class);
    assertThat(exact.notes()).anyMatch(note -> note.contains("as given"));
    assertThat(exact.config().task()).isEqualTo(Task.CAUSAL_LM);
    assertThatThrownBy(
            () ->
                Checkpoints.load(
                    proteinLm("lm_relu"), ImportOptions.builder().preset("bert").build()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("preset bert does not fit");
  }

  @Test
  void redrawnFeaturesAreFixedAndNoted(@TempDir Path folder) throws IOException {
    copy("bert_softmax_favor", folder, "redraw_features = False", "redraw_features = True");
    assertThat(Checkpoints.load(folder, ImportOptions.none()).notes())
        .anyMatch(note -> note.contains("redraw_features"));
  }

  @Test
  void veryOldNamesAreNumbersAlone(@TempDir Path folder) throws IOException {
    byte[] bytes = Files.readAllBytes(proteinLm("lm_relu").resolve("checkpoint_300"));
    byte[] old = bytes;
    for (String name :
        new String[] {
          "AddLearnedPositionalEncodings_0",
          "Transformer1DBlock_1",
          "Transformer1DBlock_2",
          "LayerNorm_0",
          "LayerNorm_2",
          "LayerNorm_3",
          "MultiHeadDotProductAttention_1",
          "MlpBlock_3",
          "Dense_0",
          "Dense_1",
          "Dense_4"
        }) {
      old = renamed(old, name, name.substring(name.lastIndexOf('_') + 1));
    }
    Files.write(folder.resolve("checkpoint_1"), old);
    Files.copy(proteinLm("lm_relu").resolve("config.gin"), folder.resolve("config.gin"));
    ModelWeights found = Checkpoints.load(folder, ImportOptions.none());
    ModelWeights expected = Checkpoints.load(proteinLm("lm_relu"), ImportOptions.none());
    assertThat(found.weights()).isEqualTo(expected.weights());
    assertThat(found.optimizer().orElseThrow().secondMoments())
        .isEqualTo(expected.optimizer().orElseThrow().secondMoments());
  }

  @Test
  void missingAndSurplusTensorsAreListedTogether(@TempDir Path folder) throws IOException {
    byte[] bytes = Files.readAllBytes(proteinLm("lm_relu").resolve("checkpoint_300"));
    Files.write(folder.resolve("checkpoint_1"), renamed(bytes, "MlpBlock_3", "MlpBlock_7"));
    Files.copy(proteinLm("lm_relu").resolve("config.gin"), folder.resolve("config.gin"));
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.none()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("mlp/in/kernel");
  }

  @Test
  void notANumberIsWarnedOfByName(@TempDir Path folder) throws IOException {
    byte[] bytes = Files.readAllBytes(proteinLm("lm_exact").resolve("checkpoint_300"));
    byte[] first;
    try (WeightFile file = Checkpoints.open(proteinLm("lm_exact"))) {
      first = file.read("target/params/Dense_4/kernel").bytes();
    }
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    int at = text.indexOf(new String(first, StandardCharsets.ISO_8859_1));
    bytes[at + 2] = (byte) 0xc0;
    bytes[at + 3] = 0x7f;
    Files.write(folder.resolve("checkpoint_1"), bytes);
    Files.copy(proteinLm("lm_exact").resolve("config.gin"), folder.resolve("config.gin"));
    assertThat(Checkpoints.load(folder, ImportOptions.none()).notes())
        .anyMatch(note -> note.contains("NaN") && note.contains("head/logits/kernel"));
  }

  @Test
  void projectionsAreThoseOfTheStreamThatIsGiven() {
    ImportOptions partitionable =
        ImportOptions.builder()
            .favor(
                FavorConfig.builder()
                    .threefry(dev.performer.attention.projection.Threefry.Stream.PARTITIONABLE))
            .build();
    String name = "layer_1/attention/projection";
    NpyArray legacy =
        Checkpoints.load(proteinLm("lm_softmax_favor"), ImportOptions.none()).weights().get(name);
    assertThat(legacy.shape()).containsExactly(24, 8);
    assertThat(Checkpoints.load(proteinLm("lm_softmax_favor"), partitionable).weights().get(name))
        .isNotEqualTo(legacy);
  }

  /** Another name in a msgpack string, with its length before it. */
  private static byte[] renamed(byte[] bytes, String from, String to) {
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    String found = (from.length() < 32 ? String.valueOf((char) (0xa0 + from.length())) : "") + from;
    String put = (char) (0xa0 + to.length()) + to;
    assertThat(text).contains(found);
    return text.replace(found, put).getBytes(StandardCharsets.ISO_8859_1);
  }

  private static void copy(String model, Path folder, String from, String to) throws IOException {
    Path checkpoint = folder.resolve("checkpoint_300");
    Files.deleteIfExists(checkpoint);
    Files.copy(proteinLm(model).resolve("checkpoint_300"), checkpoint);
    String gin = Files.readString(proteinLm(model).resolve("config.gin"));
    assertThat(gin).contains(from);
    Files.writeString(
        folder.resolve("config.gin"), gin.replaceFirst(java.util.regex.Pattern.quote(from), to));
  }
}
