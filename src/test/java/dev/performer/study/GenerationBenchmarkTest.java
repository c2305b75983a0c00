package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Percentage.withPercentage;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.cli.CommandLineRun;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GenerationBenchmarkTest {
  @TempDir Path folder;

  @Test
  void tableJsonAndPlot() throws IOException {
    CommandLineRun run =
        CommandLineRun.of(
                "bench",
                "--generate",
                "--lengths",
                "16,32",
                "--heads",
                2,
                "--head-size",
                8,
                "--features",
                8,
                "--attention",
                "hyperbolic,exact",
                "--output",
                folder,
                "--json")
            .done();
    JsonNode rows = run.json().at("/rows");
    assertThat(rows).hasSize(2);
    for (JsonNode row : rows) {
      assertThat(row.at("/tokenMs")).hasSize(4);
      row.at("/tokenMs").forEach(ms -> assertThat(ms.asDouble()).isBetween(1e-3, 1e4));
      assertThat(row.at("/growth").asDouble())
          .isEqualTo(row.at("/lastQuarterMs").asDouble() / row.at("/firstQuarterMs").asDouble());
      assertThat(row.at("/timesFaster/32").asDouble())
          .isEqualTo(row.at("/recomputeMs/32").asDouble() / row.at("/tokenMs/3").asDouble());
      assertThat(row.at("/rows").asInt()).isEqualTo(16);
      assertThat(row.at("/rowsFaster").asDouble())
          .isEqualTo(16 * row.at("/tokenMs/0").asDouble() / row.at("/rowsMs").asDouble());
    }
    Map<String, JsonNode> measured = new HashMap<>();
    for (JsonNode one : run.json().at("/measurements")) {
      measured.put(one.get("case").asText() + ": " + one.get("work").asText(), one);
    }
    assertThat(measured).hasSize(14);
    double peak = run.json().at("/machine/0/readGbs").asDouble();
    // Four layers of E = 16 with biases of MLPs and norms, the last norm, and logits of 29 tokens.
    double weights = 4 * (12 * 256 + 64 + 16 + 4 * 16) + 2 * 16 + 29 * 17;
    double sums = 4 * 2 * 9 * 16;
    requireBytes(
        measured, "FAVOR+ hyperbolic, 32 tokens: 8 tokens, quarter 1", weights + 4 * 64 + sums);
    requireBytes(
        measured,
        "FAVOR+ hyperbolic, 32 tokens: 8 tokens of 16 rows",
        weights + 4 * 64 + 16 * sums);
    requireBytes(
        measured, "exact softmax, 32 tokens: 8 tokens, quarter 4", weights + 4 * 2 * 16 * 28);
    for (JsonNode one : measured.values()) {
      if (one.has("gbs")) {
        assertThat(one.get("gbs").asDouble())
            .isCloseTo(
                one.get("mb").asDouble() / one.get("minMs").asDouble(), withPercentage(1e-6));
        assertThat(one.get("ofReading").asDouble()).isEqualTo(one.get("gbs").asDouble() / peak);
      }
    }
    assertThat(Files.readString(folder.resolve("generate.md")))
        .contains("| FAVOR+ hyperbolic |", "| exact softmax |", "prefix of 16 again");
    assertThat(folder.resolve("generate.json")).isNotEmptyFile();
    BufferedImage plot = ImageIO.read(folder.resolve("generate.png").toFile());
    assertThat(plot.getWidth()).isEqualTo(1900);
  }

  /** Of eight tokens that read so many numbers each. */
  private static void requireBytes(Map<String, JsonNode> measured, String name, double numbers) {
    assertThat(measured.get(name).get("mb").asDouble())
        .isCloseTo(8 * 4 * numbers / 1e6, withPercentage(1e-6));
  }

  @Test
  void profileNamesTheOpsOfTokens() throws IOException {
    Object[] words = {
      "bench",
      "generate",
      "--profile",
      "--lengths",
      16,
      "--heads",
      2,
      "--head-size",
      8,
      "--attention",
      "relu",
      "--output",
      folder,
      "--json"
    };
    JsonNode profiles =
        CommandLineRun.of(words).done().json().at("/profiles/FAVOR+ relu, 16 tokens");
    assertThat(profiles.at("/4 tokens, quarter 2/groups/MATMUL/ms").asDouble()).isPositive();
    assertThat(profiles.at("/prefix of 16/nodes").asInt()).isPositive();
  }

  @Test
  void badInput() {
    CommandLineRun.of("bench", "--generate", "--lengths", 8).failed(2, "--generate", "16");
    CommandLineRun.of("bench", "--generate", "--lengths", 0).failed(2, "--lengths");
    CommandLineRun.of("bench", "--generate", "--compute", "xla").failed(2, "--compute", "bfloat16");
  }

  /** The default model and lengths; how the times compare is the benchmark's to show. */
  @Test
  @Tag("slow")
  void defaultsMeasureAThousandTokens() {
    JsonNode row =
        CommandLineRun.of(
                "bench", "--generate", "--attention", "hyperbolic", "--output", folder, "--json")
            .done()
            .json()
            .at("/rows/0");
    assertThat(row.at("/tokenMs")).hasSize(4);
    row.at("/tokenMs").forEach(ms -> assertThat(ms.asDouble()).isPositive());
    assertThat(row.at("/timesFaster/1024").asDouble()).isPositive();
  }
}
