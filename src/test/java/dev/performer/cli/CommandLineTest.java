package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.TensorFlow;

class CommandLineTest {

  @Test
  void helpListsTheCommands() {
    CommandLineRun run = CommandLineRun.of("--help").done();
    assertThat(run.out())
        .contains(
            "quickstart",
            "inspect",
            "attend",
            "train",
            "fine-tune",
            "evaluate",
            "predict",
            "export",
            "approximate",
            "bench");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "quickstart",
        "inspect",
        "attend",
        "train",
        "fine-tune",
        "evaluate",
        "predict",
        "export",
        "approximate",
        "bench"
      })
  void everyCommandHasHelp(String command) {
    assertThat(CommandLineRun.of(command, "--help").done().out())
        .contains("Usage: performer " + command, "--json");
  }

  @Test
  void wrongUsageIsExitCode2() {
    CommandLineRun.of().failed(2, "a command is missing");
    CommandLineRun.of("trian").failed(2, "trian");
    CommandLineRun.of("attend", "--casual", "x.npz", "--output", "y.npz")
        .failed(2, "--casual", "--causal");
    CommandLineRun.of("predict", "model").failed(2, "--inputs");
    CommandLineRun.of("bench", "--lengths", "many").failed(2, "many");
  }

  @Test
  void failuresAreJsonWhereJsonIsRequested() {
    CommandLineRun failed = CommandLineRun.of("inspect", "no/such/model", "--json");
    failed.failed(1, failed.json().get("error").asText());
    CommandLineRun wrong = CommandLineRun.of("predict", "model", "--json");
    wrong.failed(2, wrong.json().get("error").asText());
    assertThat(CommandLineRun.of("inspect", "no/such/model").out()).isEmpty();
  }

  @Test
  void helpIsACommandToo() {
    assertThat(CommandLineRun.of("help", "train").done().out())
        .isEqualTo(CommandLineRun.of("train", "--help").done().out());
  }

  @Test
  void theListOfCommandsIsTheSameWithAndWithoutTheirOptions() {
    assertThat(CommandLineRun.of("--help").done().out())
        .isEqualTo(CommandLineRun.of("help").done().out());
  }

  @Test
  void theVersionNamesWhatAReportNeeds() {
    String tensorFlow = "TensorFlow " + TensorFlow.version() + System.lineSeparator();
    assertThat(CommandLineRun.of("--version").done().out())
        .contains("Performer for Java", tensorFlow, "JDK " + Runtime.version().feature());
  }

  @Test
  void completionKnowsCommandsAndOptions() {
    assertThat(CommandLineRun.of("completion").done().out())
        .contains("complete -F _complete_performer", "fine-tune", "--recipe");
  }

  @Test
  void paragraphsOfHelpAreWrappedByTheTerminal() {
    assertThat(HelpLayout.paragraphs("One", "sentence.", "", "In: q.", "Out: k."))
        .containsExactly("One sentence.", "", "In: q.", "Out: k.");
  }

  @Test
  void benchMeasuresTrainingSteps(@TempDir Path folder) {
    var json =
        CommandLineRun.of(
                "bench",
                "--train",
                "--lengths",
                "40",
                "--attention",
                "RELU",
                "--heads",
                "2",
                "--head-size",
                "8",
                "--json",
                "--output",
                folder)
            .done()
            .json();
    var row = json.get("trainingSteps").get(0);
    assertThat(row.get("stepMs").asDouble()).isPositive();
    assertThat(row.get("tokensPerSecond").asDouble())
        .isCloseTo(40e3 / row.get("stepMs").asDouble(), Offset.offset(1e-6));
    assertThat(folder.resolve("train-bench.md")).content().contains("| FAVOR+ relu | 40 |");
  }

  @Test
  void aMissingModelIsOneLine() {
    CommandLineRun.of("inspect", "no/such/model").failed(1, "no/such/model");
    CommandLineRun.of("evaluate", "no/such/model", "--data", "x.fasta").failed(1, "no/such/model");
    CommandLineRun.of("predict", "no/such/model", "--inputs", "x.npz", "--output", "y.npz")
        .failed(1, "x.npz");
    CommandLineRun.of("export", "no/such/model", "--output", "y").failed(1, "no/such/model");
    CommandLineRun.of("fine-tune", "no/such/model", "--data", "x.fasta", "--output", "y")
        .failed(1, "no/such/model");
  }
}
