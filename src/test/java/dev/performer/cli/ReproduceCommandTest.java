package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReproduceCommandTest {
  private static final String TINY =
      """
      # Two kinds of attention.
      task: masked-lm
      data: {train: family_train.fasta.gz, validation: family_test.fasta.gz, length: 32}
      model: {layers: 1, hiddenSize: 16, heads: 2, attention: {kernel: relu, features: 8}}
      training: {steps: 25, batchTokens: 512, warmupSteps: 2, learningRate: 1e-2, evaluateEvery: 10, evaluationBatches: 4}
      runs:
        exact: {set: ['model.attention={exact: true}']}
        favor: {}
      """;

  @TempDir Path temporary;

  @Test
  void writesTablesAndGoesOnOnlyIfRequested() throws IOException {
    Path data = Path.of("training/data").toAbsolutePath();
    Path recipe = temporary.resolve("two.yaml");
    Files.writeString(recipe, TINY.replace(": family", ": " + data + "/family"));
    Path out = temporary.resolve("out");
    CommandLineRun run =
        CommandLineRun.of(
            "reproduce", "--recipe", recipe, "--budget", "1s", "--output", out, "--json");
    Path results = Path.of(run.done().json().path("results").asText());
    assertThat(results).isEqualTo(out.resolve("results.md"));
    assertThat(Files.readString(results))
        .contains("Two kinds of attention.", "| exact | ", "| favor | ", "| unigram baseline |")
        .contains("a budget of 1 seconds");
    CommandLineRun.of("reproduce", "--recipe", recipe, "--budget", "1s", "--output", out)
        .failed(1, "holds results already; go on with --resume");
    CommandLineRun.of("reproduce", "--recipe", recipe, "--output", out, "--resume").done();
    // The same of a single run of the recipe.
    Path single = temporary.resolve("single");
    var json =
        CommandLineRun.of("train", recipe, "--run", "exact", "--output", single, "--json")
            .done()
            .json();
    assertThat(json.path("steps").asLong()).isEqualTo(25);
    assertThat(Files.readString(single.resolve("recipe.yaml"))).contains("exact: true");
    Path second = temporary.resolve("second");
    var started =
        CommandLineRun.of(
                "train", recipe, "--from", single.resolve("model"), "--output", second, "--json")
            .done()
            .json();
    assertThat(started.path("perplexityBefore").asDouble())
        .isLessThan(json.path("perplexityBefore").asDouble() / 1.5);
    CommandLineRun.of("train", recipe, "--run", "exakt", "--output", temporary.resolve("x"))
        .failed(1, "the recipe has no run 'exakt'; did you mean exact?");
  }

  @Test
  void saysWhatIsWrong() {
    Path out = temporary.resolve("out");
    CommandLineRun.of("reproduce", "--budget", "soon", "--output", out)
        .failed(2, "--budget soon: expected a time such as 10m");
    CommandLineRun.of("reproduce", "--budget", "0m", "--output", out).failed(2, "--budget 0m");
    CommandLineRun.of("reproduce", "--only", "pixel", "--output", out)
        .failed(2, "--only pixel: no such recipe; there are protein-causal");
    CommandLineRun.of("reproduce", "--resume", "--output", out)
        .failed(1, "holds nothing to go on with (no plan.json)");
    CommandLineRun.of("reproduce", "--recipe", temporary.resolve("gone.yaml"), "--output", out)
        .failed(1, "gone.yaml");
    assertThat(out).doesNotExist();
  }
}
