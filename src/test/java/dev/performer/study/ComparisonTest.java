package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.study.BenchmarkReport.Measurement;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ComparisonTest {
  private static final Benchmark.Size SIZE = new Benchmark.Size(1, 2, 8, 8);
  private static final String CASE = "mlp at L=16";

  @TempDir Path folder;
  private Path file;
  private final LayerBenchmark layers = new LayerBenchmark(SIZE, List.of(16));

  @BeforeEach
  void anEarlierRun() throws IOException {
    file = folder.resolve("layers.json");
    write("layers", 2, "mlp", "norm", "logits", "projections");
  }

  private void write(String benchmark, int heads, String... parts) throws IOException {
    StringBuilder json = new StringBuilder();
    String head =
        "{\"benchmark\": \"%s\", \"batch\": 1, \"heads\": %d, \"headSize\": 8, \"features\": 8, \"measurements\": [";
    json.append(head.formatted(benchmark, heads));
    for (int i = 0; i < parts.length; i++) {
      String one =
          "{\"case\": \"%s at L=16\", \"work\": \"forward\", \"minMs\": 10, \"medianMs\": 12}";
      json.append(i == 0 ? "" : ", ").append(one.formatted(parts[i]));
    }
    Files.writeString(file, json.append("], \"machine\": [{\"matMulGflops\": 390}]}"));
  }

  private static Measurement now(double minMs, double medianMs) {
    var timing = new Timing(minMs, medianMs, 1, 0, 1, 5);
    return new Measurement(CASE, "L=16", "forward", timing, null, null, null, null, null, null);
  }

  private Comparison read() {
    return Comparison.read(file, layers, layers.cases());
  }

  @Test
  void onlyWhatIsBeyondTheNoiseIsNamed() {
    var rows = read().rows(List.of(now(12.1, 14), now(11.9, 14), now(9, 10.1), now(9, 9.9)));
    assertThat(rows)
        .extracting(Comparison.Row::verdict)
        .containsExactly(
            Comparison.Verdict.SLOWER,
            Comparison.Verdict.NOISE,
            Comparison.Verdict.NOISE,
            Comparison.Verdict.FASTER);
    assertThat(rows.get(0).ratio()).isEqualTo(1.21);
    assertThat(read().table(List.of(now(20, 21)), List.of(new MachinePeak("L=16", 200.0, 20.0))))
        .contains(
            "| " + CASE + " | forward | 10.00 | 20.00 | 2.00 | slower |", "then 390", "now 200");
  }

  @Test
  void otherFilesAndCasesAreRefused() throws IOException {
    write("layers", 4, "mlp");
    refused("measured with heads 4, not 2");
    write("bench", 2, "mlp");
    refused("is of the benchmark bench, not of layers");
    write("layers", 2, "mlp", "norm", "projections");
    refused("has no case \"logits at L=16\"");
    Files.writeString(file, "{\"rows\": []}");
    refused("holds no measurements");
    Files.writeString(file, "nothing");
    refused("layers.json");
    file = folder.resolve("absent.json");
    refused("absent.json");
  }

  private void refused(String message) {
    assertThatThrownBy(this::read)
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message);
  }
}
