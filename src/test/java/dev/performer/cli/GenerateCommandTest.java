package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GenerateCommandTest {
  private static final Path CHECKPOINTS = Path.of("src/test/resources/reference/jax/protein_lm");
  private static final String LETTERS = "ACDEFGHIKLMNPQRSTVWY";
  @TempDir static Path folder;
  private static Path model;

  @BeforeAll
  static void importModel() {
    model = folder.resolve("lm");
    CommandLineRun.of("import", CHECKPOINTS.resolve("lm_exact"), "--output", model).done();
  }

  @Test
  void promptsFromTheCommandLineAndFromAFile() throws IOException {
    Path prompts = folder.resolve("prompts.txt");
    Files.writeString(prompts, "MKT\n\n  ACDEF \n");
    Path output = folder.resolve("texts.txt");
    CommandLineRun printed =
        CommandLineRun.of(
                "generate", model, "--prompt", "MKT", "ACDEF", "--tokens", 20, "--seed", 5)
            .done();
    CommandLineRun read =
        CommandLineRun.of(
                "generate",
                model,
                "--prompts",
                prompts,
                "--tokens",
                20,
                "--seed",
                5,
                "--batch",
                1,
                "--output",
                output)
            .done();
    assertThat(read.out()).isEqualTo(printed.out());
    List<String> lines = printed.out().strip().lines().toList();
    assertThat(lines).hasSize(2);
    assertThat(lines.get(0)).startsWith("MKT").hasSizeGreaterThan(3);
    assertThat(lines.get(1)).startsWith("ACDEF").matches("[A-Z]*");
    assertThat(Files.readAllLines(output)).isEqualTo(lines);
  }

  @Test
  void oneTextStreamsOrNot() {
    Object[] args = {"generate", model, "--prompt", "MKT", "--tokens", 30, "--seed", 2};
    CommandLineRun streamed = CommandLineRun.of(args).done();
    List<Object> whole = new ArrayList<>(List.of(args));
    whole.add("--no-stream");
    assertThat(CommandLineRun.of(whole.toArray()).done().out()).isEqualTo(streamed.out());
    whole.add("--json");
    JsonNode json = CommandLineRun.of(whole.toArray()).done().json();
    assertThat("MKT" + json.at("/results/0/continuation").asText())
        .isEqualTo(streamed.out().strip());
    assertThat(json.at("/tokensPerSecond").asDouble()).isPositive();
  }

  @Test
  void theDefaultLengthIsWhatThePositionsLeave() {
    JsonNode json =
        CommandLineRun.of("generate", model, "--prompt", "MKTA", "--greedy", "--json")
            .done()
            .json();
    assertThat(json.at("/results/0/tokens")).hasSize(60);
    JsonNode cold =
        CommandLineRun.of("generate", model, "--prompt", "MKTA", "--temperature", 0, "--json")
            .done()
            .json();
    assertThat(cold.at("/results")).isEqualTo(json.at("/results"));
  }

  /** As Google's sample(3, rng=PRNGKey(40)). */
  @Test
  void proteinLmSamples() {
    NpyArray golden = Npz.read(CHECKPOINTS.resolve("lm_exact/sample_golden.npz")).get("sample_0");
    JsonNode json =
        CommandLineRun.of(
                "generate",
                model,
                "--prompt",
                "",
                "--prompt",
                "",
                "--prompt",
                "",
                "--sampler",
                "protein-lm",
                "--seed",
                40,
                "--tokens",
                64,
                "--batch",
                2,
                "--json")
            .done()
            .json();
    int[] ids = golden.ints();
    for (int r = 0; r < 3; r++) {
      StringBuilder expected = new StringBuilder();
      for (int i = 0; i < 64; i++) {
        expected.append(LETTERS.charAt(ids[r * 64 + i]));
      }
      assertThat(json.at("/results/" + r + "/continuation").asText())
          .isEqualTo(expected.toString());
    }
  }

  @Test
  void badInput() {
    CommandLineRun.of("generate", model).failed(2, "--prompt");
    CommandLineRun.of("generate", model, "--prompt", "MK7").failed(1, "MK7", "[7]");
    CommandLineRun.of("generate", model, "--prompt", "MK", "--tokens", 63)
        .failed(1, "64 positions", "at most 62");
    CommandLineRun.of("generate", model, "--prompt", "MK", "--tokens", 0).failed(2, "--tokens");
    CommandLineRun.of("generate", model, "--prompt", "MK", "--top-p", 2)
        .failed(2, "--top-p must be from 0 to 1");
    CommandLineRun.of("generate", model, "--prompt", "MK", "--temperature", "NaN")
        .failed(2, "--temperature");
    CommandLineRun.of("generate", model, "--prompt", "MK", "--sampler", "dice")
        .failed(2, "--sampler", "dice", "protein-lm");
    CommandLineRun.of("generate", model, "--prompt", "MK", "--sampler", "protein-lm", "--greedy")
        .failed(2, "--greedy");
    CommandLineRun.of("generate", model, "--prompts", folder.resolve("none.txt"))
        .failed(1, "none.txt");
    CommandLineRun.of("generate", folder.resolve("nothing"), "--prompt", "MK").failed(1, "nothing");
    CommandLineRun.of("generate", CHECKPOINTS.resolve("lm_exact"), "--prompt", "MK")
        .failed(1, "lm_exact");
  }
}
