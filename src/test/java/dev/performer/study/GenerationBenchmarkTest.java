package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.cli.CommandLineRun;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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
      assertThat(row.at("/tokenMs")).hasSize(32);
      row.at("/tokenMs").forEach(ms -> assertThat(ms.asDouble()).isBetween(1e-3, 1e4));
      assertThat(row.at("/growth").asDouble())
          .isEqualTo(row.at("/lastQuarterMs").asDouble() / row.at("/firstQuarterMs").asDouble());
      assertThat(row.at("/timesFaster/32").asDouble()).isPositive();
    }
    assertThat(Files.readString(folder.resolve("generate.md")))
        .contains("| FAVOR+ hyperbolic |", "| exact softmax |", "prefix of 16 again");
    assertThat(folder.resolve("generate.json")).isNotEmptyFile();
    BufferedImage plot = ImageIO.read(folder.resolve("generate.png").toFile());
    assertThat(plot.getWidth()).isEqualTo(900);
  }

  @Test
  void badInput() {
    CommandLineRun.of("bench", "--generate", "--lengths", 8).failed(2, "--generate", "16");
    CommandLineRun.of("bench", "--generate", "--lengths", 0).failed(2, "--lengths");
  }

  /** The default model and lengths; how the times compare is the benchmark's to show. */
  @Test
  @Tag("slow")
  void defaultsMeasureEachOfAThousandTokens() {
    JsonNode row =
        CommandLineRun.of(
                "bench", "--generate", "--attention", "hyperbolic", "--output", folder, "--json")
            .done()
            .json()
            .at("/rows/0");
    assertThat(row.at("/tokenMs")).hasSize(1024);
    row.at("/tokenMs").forEach(ms -> assertThat(ms.asDouble()).isPositive());
    assertThat(row.at("/timesFaster/1024").asDouble()).isPositive();
  }
}
