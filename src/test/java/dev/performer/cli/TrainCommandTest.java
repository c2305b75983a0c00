package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.savedmodel.PerformerModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainCommandTest {
  private static final String TINY =
      """
      task: causal-lm
      data: {train: family_train.fasta.gz, validation: family_test.fasta.gz, length: 64}
      model: {layers: 1, hiddenSize: 16, heads: 2, attention: {kernel: relu, features: 8}}
      training: {averageDecay: 0.5, steps: 12, batchTokens: 512, warmupSteps: 2, learningRate: 1e-2, evaluateEvery: 6}
      """;

  @TempDir Path temporary;

  /** The weights that a run starts with were silently random ones. */
  @Test
  void aRunThatStartsWithAnothersWeightsWantsThem() {
    var run =
        CommandLineRun.of(
            "train",
            "training/weight-transfer.yaml",
            "--run",
            "performer",
            "--output",
            "build/never-written");
    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("starts with the weights of run transformer").contains("--from");
    assertThat(Path.of("build/never-written")).doesNotExist();
  }

  @Test
  void trainsPausesGoesOnAndGivesAModelThatOtherCommandsTake() throws IOException {
    Path recipe = recipe(TINY);
    Path run = temporary.resolve("run");
    var paused = CommandLineRun.of("train", recipe, "--output", run, "--pause-at", 5, "--json");
    var json = paused.done().json();
    assertThat(json.path("steps").asLong()).isEqualTo(5);
    assertThat(json.path("finished").asBoolean()).isFalse();
    assertThat(paused.err()).contains("stopped after step 5; the run can be resumed");
    CommandLineRun.of("train", recipe, "--output", run)
        .failed(1, "run holds a run already; resume it or choose another directory");
    Path paused5 = temporary.resolve("paused");
    CommandLineRun.of("export", run, "--checkpoint", "step-5", "--output", paused5).done();
    assertThat(PerformerModels.load(paused5).card().provenance().steps()).isEqualTo(5);
    // The run's own recipe will do.
    json = CommandLineRun.of("train", "--output", run, "--resume", "--json").done().json();
    assertThat(json.path("finished").asBoolean()).isTrue();
    assertThat(json.path("perplexityAfter").asDouble())
        .isLessThan(json.path("perplexityBefore").asDouble());
    Path model = run.resolve("model");
    assertThat(json.path("model").asText()).isEqualTo(model.toString());
    var evaluated =
        CommandLineRun.of(
                "evaluate",
                model,
                "--data",
                "training/data/family_test.fasta.gz",
                "--length",
                64,
                "--json")
            .done()
            .json();
    assertThat(evaluated.path("perplexity").asDouble())
        .isCloseTo(json.path("perplexityAfter").asDouble(), within(1e-3));
    assertThat(json.path("perplexityLast").asDouble())
        .isGreaterThanOrEqualTo(json.path("perplexityAfter").asDouble());
    Path again = temporary.resolve("again");
    CommandLineRun.of("export", run, "--output", again).done();
    assertThat(Files.readAllBytes(again.resolve("variables/variables.data-00000-of-00001")))
        .isEqualTo(Files.readAllBytes(model.resolve("variables/variables.data-00000-of-00001")));
    CommandLineRun.of("generate", model, "--prompt", "MK", "--tokens", 4).done();
    assertThat(Files.readString(run.resolve("recipe.yaml")))
        .contains("task: causal-lm", "name: adamw", "labelSmoothing: 0.0", "features: 8");
  }

  @Test
  void trainsBytesOfText() throws IOException {
    Path recipe =
        recipe(
            """
            task: masked-lm
            data: {train: text_valid.txt.gz, vocabulary: "bytes:5", length: 32}
            model: {layers: 1, hiddenSize: 16, heads: 2, attention: {exact: true}}
            training: {steps: 3, batchSequences: 4, evaluationBatches: 2}
            """);
    var json =
        CommandLineRun.of("train", recipe, "--output", temporary.resolve("run"), "--json")
            .done()
            .json();
    assertThat(json.path("finished").asBoolean()).isTrue();
    assertThat(json.path("tokens").asLong()).isEqualTo(3 * 4 * 32);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "training.stepz=3 | training: unknown key stepz; did you mean steps?",
        "model.attention.kernel=relo | relo",
        "training.batchTokens=2000000000 | a training step would take about ",
        "data.train=gone.fasta | the data file gone.fasta does not exist",
        "data.train=empty.fasta | empty.fasta holds no sequence with tokens",
        "data.validation=empty.fasta | empty.fasta holds no sequence with tokens",
        "training | --set training: expected KEY=VALUE",
      })
  void refusesInOneLineAndLeavesNothing(String wrong) throws IOException {
    Files.writeString(temporary.resolve("empty.fasta"), ">a\n\n>b\n\n");
    String[] parts = wrong.split(" \\| ");
    Path run = temporary.resolve("run");
    CommandLineRun.of("train", recipe(TINY), "--output", run, "--set", parts[0])
        .failed(1, parts[1]);
    assertThat(run).doesNotExist();
  }

  @Test
  void refusesDataInWhichNothingIsToBeGuessed() throws IOException {
    Files.writeString(temporary.resolve("single.fasta"), ">a\nM\n>b\nK\n");
    Path run = temporary.resolve("run");
    List<Object> command =
        List.of("train", recipe(TINY), "--output", run, "--set", "data.end=false");
    for (String data : List.of("data.train", "data.validation")) {
      List<Object> all = new ArrayList<>(command);
      all.addAll(List.of("--set", data + "=single.fasta"));
      CommandLineRun.of(all.toArray()).failed(1, "single.fasta holds nothing to guess");
      assertThat(run).doesNotExist();
    }
  }

  @Test
  void refusesPlacesThatWillNotDo() throws IOException {
    Path recipe = recipe(TINY);
    Path run = temporary.resolve("run");
    CommandLineRun.of("train", "--output", run).failed(2, "a recipe is missing");
    CommandLineRun.of("train", "--output", run, "--resume").failed(1, "holds no run to resume");
    CommandLineRun.of("train", recipe, "--output", run, "--resume")
        .failed(1, "holds no run to resume (no recipe.yaml)");
    CommandLineRun.of("train", temporary.resolve("no.yaml"), "--output", run)
        .failed(1, "no.yaml is no file; expected a recipe in YAML");
    CommandLineRun.of("train", recipe, "--output", recipe).failed(1, "is a file");
    CommandLineRun.of("train", recipe, "--output", temporary)
        .failed(1, "exists and holds other files");
    CommandLineRun.of("train", recipe, "--output", "/proc/run").failed(1, "cannot write to /proc");
  }

  @Test
  void theShippedRecipesRun() {
    for (String name : List.of("protein-causal", "protein-masked", "text-bytes")) {
      CommandLineRun.of(
              "train",
              "training/" + name + ".yaml",
              "--output",
              temporary.resolve(name),
              "--set",
              "training.steps=1",
              "--set",
              "training.batchTokens=256",
              "--set",
              "data.length=128",
              "--set",
              "model.layers=1",
              "--set",
              "training.evaluationBatches=1")
          .done();
    }
  }

  private Path recipe(String text) throws IOException {
    Path data = Path.of("training/data").toAbsolutePath();
    Path file = temporary.resolve("recipe.yaml");
    return Files.writeString(
        file,
        text.replace("family_", data + "/family_").replace("text_valid", data + "/text_valid"));
  }
}
