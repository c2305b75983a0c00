package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.cli.CommandLineRun;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

class TrainingBenchmarkTest {
  @Test
  @Tag("slow")
  void measuresEveryWayOfComputing() {
    JsonNode json =
        CommandLineRun.of(
                "bench",
                "--train",
                "--compute",
                "plain,xla,bfloat16",
                "--lengths",
                64,
                "--heads",
                1,
                "--head-size",
                8,
                "--features",
                8,
                "--batch",
                1,
                "--json")
            .done()
            .json();
    Set<String> measured = new TreeSet<>();
    for (JsonNode step : json.path("trainingSteps")) {
      measured.add(step.path("attention").asText() + ", " + step.path("compute").asText());
      assertThat(step.path("stepMs").asDouble()).isPositive();
      assertThat(step.path("tokensPerSecond").asDouble()).isPositive();
    }
    for (String compute : List.of("plain", "xla", "bfloat16")) {
      assertThat(measured).contains("exact softmax, " + compute);
    }
    assertThat(measured).hasSizeGreaterThanOrEqualTo(6);
  }

  @Test
  void refusesWhatDoesNotGoTogether() {
    CommandLineRun.of("bench", "--compute", "xla").failed(2, "--compute needs --train");
    CommandLineRun.of("bench", "--train", "--compute", "tpu").failed(2, "tpu");
    CommandLineRun.of("bench", "--train", "--generate").failed(2, "exclude each other");
  }
}
