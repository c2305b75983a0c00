package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Checkpoints of Google's code through the command line: the numbers are those of Python. */
class ImportCommandTest {
  private static final Path CHECKPOINTS = Path.of("savedmodels", "checkpoints");
  private static final Path DATA = Path.of("training", "data");

  @TempDir Path folder;

  private Path imported(Object... arguments) {
    Path model = folder.resolve("model");
    Object[] all = new Object[arguments.length + 3];
    all[0] = "import";
    System.arraycopy(arguments, 0, all, 1, arguments.length);
    all[arguments.length + 1] = "--output";
    all[arguments.length + 2] = model;
    CommandLineRun.of(all).done();
    return model;
  }

  @ParameterizedTest
  @ValueSource(strings = {"lm_relu", "bert_exact", "bert_softmax_favor"})
  void logitsAndLossAreThoseOfPython(String name) throws IOException {
    Path source = CHECKPOINTS.resolve(name);
    Path model = imported(source);
    Path out = folder.resolve("out.npz");
    CommandLineRun.of("predict", model, "--inputs", inputs(source, "tokens"), "--output", out)
        .done();
    assertClose(Npz.read(out).get("logits"), expected(source).get("logits"));

    JsonNode python = new ObjectMapper().readTree(source.resolve("info.json").toFile());
    JsonNode java =
        json(
            CommandLineRun.of("evaluate", model, "--data", DATA.resolve("valid.fasta.gz"), "--json")
                .done());
    for (String metric : new String[] {"loss", "accuracy", "perplexity"}) {
      double value = python.path("valid_eval").path(metric).asDouble();
      assertThat(java.path(metric).asDouble())
          .as(metric)
          .isCloseTo(value, Offset.offset(5e-5 * value));
    }
  }

  @Test
  void modelGardensEncoderNeedsNoProjection() throws IOException {
    Path source = CHECKPOINTS.resolve("kernel_encoder");
    for (String file : new String[] {"weights.h5", "model.keras", "checkpoint"}) {
      Path model = folder.resolve(file + ".model");
      CommandLineRun.of("import", source.resolve(file), "--features", 16, "--output", model).done();
      Path out = folder.resolve(file + ".npz");
      Path in = inputs(source, "input_word_ids", "input_mask", "input_type_ids");
      CommandLineRun.of("predict", model, "--inputs", in, "--output", out).done();
      for (String tensor : new String[] {"sequence_output", "pooled_output"}) {
        assertClose(Npz.read(out).get(tensor), expected(source).get(tensor));
      }
    }
  }

  @Test
  void longRangeArenaIsToldItsAttention() throws IOException {
    Path source = CHECKPOINTS.resolve("lra");
    CommandLineRun.of("import", source, "--output", folder.resolve("none"))
        .failed(1, "checkpoint_3", "--kernel", "--features");
    assertThat(folder.resolve("none")).doesNotExist();
    Path model = imported(source, "--kernel", "softmax", "--features", 6);
    Path out = folder.resolve("out.npz");
    CommandLineRun.of("predict", model, "--inputs", inputs(source, "tokens"), "--output", out)
        .done();
    assertClose(Npz.read(out).values().iterator().next(), expected(source).get("out"));
  }

  @Test
  void fineTuningAnImportedModelLowersItsPerplexity() throws IOException {
    Path model = imported(CHECKPOINTS.resolve("lm_relu"));
    JsonNode result =
        json(
            CommandLineRun.of(
                    "fine-tune",
                    model,
                    "--data",
                    DATA.resolve("family_train.fasta.gz"),
                    "--validation",
                    DATA.resolve("family_test.fasta.gz"),
                    "--output",
                    folder.resolve("run"),
                    "--steps",
                    16,
                    "--evaluate-every",
                    0,
                    "--json")
                .done());
    assertThat(result.path("perplexityAfter").asDouble())
        .isLessThan(0.995 * result.path("perplexityBefore").asDouble());
    assertThat(result.path("maxOutputDifference").asDouble()).isLessThan(1e-4);
  }

  @Test
  void softmaxWeightsBecomeAPerformersOnRequest() throws IOException {
    Path exact = imported(CHECKPOINTS.resolve("bert_exact"));
    Path favor = folder.resolve("favor");
    CommandLineRun run =
        CommandLineRun.of(
                "import",
                CHECKPOINTS.resolve("bert_exact"),
                "--attention",
                "favor",
                "--features",
                128,
                "--output",
                favor)
            .done();
    assertThat(run.out()).contains("replaced by FAVOR+");
    double original = accuracy(exact);
    assertThat(accuracy(favor)).isBetween(0.8 * original, 1.2 * original);
    assertThat(Files.readString(favor.resolve("assets.extra").resolve("performer.json")))
        .contains("hyperbolic");

    CommandLineRun.of(
            "import",
            CHECKPOINTS.resolve("lm_relu"),
            "--attention",
            "favor",
            "--output",
            folder.resolve("none"))
        .failed(1, "lm_relu", "leave out --attention");
  }

  private static double accuracy(Path model) throws IOException {
    return json(CommandLineRun.of(
                "evaluate", model, "--data", DATA.resolve("family_test.fasta.gz"), "--json")
            .done())
        .path("accuracy")
        .asDouble();
  }

  @Test
  void inspectShowsWhatIsInACheckpoint() throws IOException {
    JsonNode flax =
        json(CommandLineRun.of("inspect", CHECKPOINTS.resolve("lm_relu"), "--json").done());
    assertThat(flax.toString()).contains("protein_lm").contains("embed/embedding");
    CommandLineRun keras =
        CommandLineRun.of("inspect", CHECKPOINTS.resolve("kernel_encoder").resolve("weights.h5"))
            .done();
    assertThat(keras.out()).contains("Model Garden");
  }

  @Test
  void badInputsEndInOneLine() throws IOException {
    Path target = folder.resolve("model");
    CommandLineRun.of("import", folder.resolve("nothing"), "--output", target).failed(1, "nothing");
    Path text = Files.writeString(folder.resolve("notes.txt"), "no model\n");
    CommandLineRun.of("import", text, "--output", target).failed(1, "notes.txt");

    Path whole = CHECKPOINTS.resolve("lm_relu").resolve("checkpoint_300");
    byte[] bytes = Files.readAllBytes(whole);
    Path cut = folder.resolve("cut").resolve("checkpoint_300");
    Files.createDirectories(cut.getParent());
    Files.copy(
        CHECKPOINTS.resolve("lm_relu").resolve("config.gin"), cut.resolveSibling("config.gin"));
    Files.write(cut, java.util.Arrays.copyOf(bytes, bytes.length / 2));
    CommandLineRun.of("import", cut.getParent(), "--output", target).failed(1, "checkpoint_300");

    Path bare = folder.resolve("bare").resolve("checkpoint_300");
    Files.createDirectories(bare.getParent());
    Files.write(bare, bytes);
    CommandLineRun.of("import", bare.getParent(), "--output", target).failed(1, "config.gin");
    CommandLineRun.of(
            "import", CHECKPOINTS.resolve("lm_relu"), "--preset", "no-such", "--output", target)
        .failed(1, "no-such");
    assertThat(target).doesNotExist();
  }

  /** The inputs among the expected arrays. */
  private Path inputs(Path source, String... names) throws IOException {
    Map<String, NpyArray> expected = expected(source);
    Map<String, NpyArray> inputs = new java.util.LinkedHashMap<>();
    for (String name : names) {
      inputs.put(name, expected.get(name));
    }
    Path file = folder.resolve("in.npz");
    Npz.write(file, inputs);
    return file;
  }

  private static Map<String, NpyArray> expected(Path source) throws IOException {
    return Npz.read(source.resolve("expected.npz"));
  }

  private static void assertClose(NpyArray actual, NpyArray expected) {
    float[] a = actual.floats();
    float[] b = expected.floats();
    assertThat(a).hasSameSizeAs(b);
    double scale = 0;
    double difference = 0;
    for (int i = 0; i < a.length; i++) {
      scale = Math.max(scale, Math.abs(b[i]));
      difference = Math.max(difference, Math.abs(a[i] - b[i]));
    }
    assertThat(difference).isLessThan(1e-4 * scale);
  }

  private static JsonNode json(CommandLineRun run) throws IOException {
    return new ObjectMapper().readTree(run.out());
  }

  @Test
  void whatDoesNotGoTogetherIsNamed() throws IOException {
    Path source = CHECKPOINTS.resolve("lm_relu");
    Path target = folder.resolve("model");
    CommandLineRun.of("import", source, "--preset", "kernel-encoder", "--output", target)
        .failed(1, "preset kernel-encoder does not fit", "protein-lm");
    for (String[] change :
        List.of(
            new String[] {"FlaxLM.num_layers = 2", "FlaxLM.num_layers = 3"},
            new String[] {"FlaxLM.mlp_dim = 64", "FlaxLM.mlp_dim = 128"})) {
      Path copy = copyOf(source);
      String gin = Files.readString(source.resolve("config.gin"));
      assertThat(gin).contains(change[0]);
      Files.writeString(copy.resolve("config.gin"), gin.replace(change[0], change[1]));
      String key = change[0].substring(0, change[0].indexOf(' '));
      CommandLineRun.of("import", copy, "--output", target)
          .failed(1, "config.gin disagrees with the weights", key);
    }
    CommandLineRun.of("import", Path.of("docs"), "--output", target)
        .failed(1, "docs holds no checkpoint");
    CommandLineRun.of(
            "import", source, "--attention", "exact", "--kernel", "relu", "--output", target)
        .failed(1, "exact attention has no kernel");
    CommandLineRun.of("import", Path.of("savedmodels/protein-mlm/saved_model"), "--output", target)
        .failed(1, "is a SavedModel, which every command takes as it is");
    assertThat(target).doesNotExist();
    Path taken = Files.createDirectories(folder.resolve("taken"));
    Path kept = Files.writeString(taken.resolve("mine.txt"), "mine");
    CommandLineRun.of("import", source, "--output", taken).failed(1, "exists and is not empty");
    CommandLineRun.of("import", source, "--output", taken, "--replace")
        .failed(1, "something other than a SavedModel");
    assertThat(kept).hasContent("mine");
  }

  @Test
  void weightsThatAreNoNumbersAreNamed() throws IOException {
    Path copy = copyOf(CHECKPOINTS.resolve("lm_relu"));
    Path file = copy.resolve("checkpoint_300");
    byte[] bytes = Files.readAllBytes(file);
    String latin = new String(bytes, StandardCharsets.ISO_8859_1);
    int values =
        latin.indexOf("float32")
            + "float32".length()
            + 3; // past the header of a bin of 16-bit length
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(values + 8, Float.NaN);
    Files.write(file, bytes);
    CommandLineRun run =
        CommandLineRun.of("import", copy, "--output", folder.resolve("nan"), "--json").done();
    assertThat(run.json().get("notFinite")).hasSize(1);
    assertThat(run.err()).contains("NaN").contains(run.json().get("notFinite").get(0).asText());
  }

  private Path copyOf(Path source) throws IOException {
    Path copy = Files.createTempDirectory(folder, "copy");
    for (String name : List.of("checkpoint_300", "config.gin")) {
      Files.copy(source.resolve(name), copy.resolve(name));
    }
    return copy;
  }

  @Test
  void masksOfTheConfigurationAreEvaluatedAndTrained() throws IOException {
    Path copy = copyOf(CHECKPOINTS.resolve("bert_exact"));
    String gin = Files.readString(copy.resolve("config.gin"));
    Files.writeString(copy.resolve("masks.gin"), "FlaxBERT.mask_rate = 0.4\n");
    Files.writeString(copy.resolve("config.gin"), gin + "\ninclude 'masks.gin'\n");
    Path model = imported(copy);
    JsonNode card =
        new ObjectMapper()
            .readTree(model.resolve("assets.extra").resolve("performer.json").toFile());
    JsonNode masking = card.path("languageModel").path("masking");
    assertThat(masking.path("rate").asDouble()).isEqualTo(0.4);
    assertThat(masking.path("mask").asDouble()).isEqualTo(0.1);
    assertThat(masking.path("random").asDouble()).isEqualTo(0.8);
    assertThat(masking.path("evaluation").asText()).isEqualTo("protein-lm");
    Path usual = folder.resolve("usual");
    CommandLineRun.of("import", CHECKPOINTS.resolve("bert_exact"), "--output", usual).done();
    double guessed = guesses(model);
    assertThat(guessed / guesses(usual)).isBetween(2.3, 3.0); // 0.4 against 0.15
    Path favor = folder.resolve("favor");
    CommandLineRun.of("import", copy, "--attention", "favor", "--output", favor).done();
    assertThat(guesses(favor)).isEqualTo(guessed);
  }

  /** Tokens that a masked model has to guess in evaluation. */
  private static double guesses(Path model) throws IOException {
    JsonNode result =
        json(
            CommandLineRun.of(
                    "evaluate", model, "--data", DATA.resolve("family_test.fasta.gz"), "--json")
                .done());
    JsonNode guesses = result.path("guesses");
    assertThat(guesses.isNumber()).as(result.toString()).isTrue();
    return guesses.asDouble();
  }

  /** A file that is broken is not taken for one that merely does not say its attention. */
  @Test
  void favorDoesNotHideWhatIsWrong() throws IOException {
    Path target = folder.resolve("model");
    Path copy = copyOf(CHECKPOINTS.resolve("bert_exact"));
    String gin = Files.readString(copy.resolve("config.gin"));
    Files.writeString(copy.resolve("config.gin"), gin + "\nFlaxBERT.emb_dim = 48\n");
    CommandLineRun.of("import", copy, "--attention", "favor", "--output", target)
        .failed(1, "FlaxBERT.emb_dim is 48");
    Files.delete(copy.resolve("config.gin"));
    CommandLineRun.of("import", copy, "--attention", "favor", "--output", target)
        .failed(1, "--task");
    assertThat(target).doesNotExist();
    CommandLineRun.of(
            "import", copy, "--attention", "favor", "--task", "masked-lm", "--output", target)
        .done();
  }

  @Test
  void aPrefixWithoutItsDataIsNamed() throws IOException {
    Path source = CHECKPOINTS.resolve("kernel_encoder").resolve("checkpoint");
    Path index = Files.copy(source.resolve("ckpt.index"), folder.resolve("ckpt.index"));
    CommandLineRun.of("import", index, "--output", folder.resolve("model"))
        .failed(1, "ckpt.data-00000-of-00001 is missing");
  }

  /** What Keras' Adam had gathered is where the training of an imported model begins. */
  @Test
  void theOptimizerOfKerasGoesOn() throws IOException {
    Path source = ReferenceModels.directory("checkpoints/protein_relu_causal");
    Path model =
        imported(source.resolve("checkpoint"), "--seed", 3, "--window", 64, "--features", 16);
    double fresh = trained(model, "fresh");
    double continued = trained(model, "continued", "--continue-optimizer");
    assertThat(Math.abs(continued - fresh)).isGreaterThan(1e-3);
    Path without = folder.resolve("without");
    CommandLineRun run =
        CommandLineRun.of("import", CHECKPOINTS.resolve("lm_relu"), "--output", without, "--json")
            .done();
    assertThat(run.json().path("optimizerStep").asInt()).isEqualTo(300);
  }

  private double trained(Path model, String name, Object... more) throws IOException {
    List<Object> arguments =
        new java.util.ArrayList<>(
            List.of("fine-tune", model, "--data", DATA.resolve("family_test.fasta.gz")));
    arguments.addAll(List.of("--vocabulary", "pad-first-protein", "--steps", 2));
    arguments.addAll(List.of("--evaluate-every", 0, "--output", folder.resolve(name), "--json"));
    arguments.addAll(List.of(more));
    return json(CommandLineRun.of(arguments.toArray()).done()).path("perplexityAfter").asDouble();
  }
}
