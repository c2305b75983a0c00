package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BenchmarkRunTest {
  private static final Benchmark.Size SIZE = new Benchmark.Size(1, 2, 8, 8);

  private static final Rounds ROUNDS = new Rounds(3, 1);

  @TempDir Path folder;

  /** Keeps what is reported, and what then stands in the files. */
  private final class Heard implements Benchmark.Listener {
    private int announced;
    private Duration estimate;
    private final List<String> lines = new ArrayList<>();
    private final List<Integer> written = new ArrayList<>();

    @Override
    public void starts(int measurements, Duration about) {
      announced = measurements;
      estimate = about;
    }

    @Override
    public void measured(String line, Duration left) {
      lines.add(line);
      JsonNode json = StrictJson.readTree(folder.resolve("new/bench.json"));
      written.add(json.get("rows").size());
      assertThat(folder.resolve("new/bench.md")).isNotEmptyFile();
    }
  }

  @Test
  void baselinesAreMeasuredWhereTheyHaveAForm() throws Exception {
    var attentions =
        List.of(BenchmarkedAttention.of("Reformer"), BenchmarkedAttention.of("linformer"));
    var benchmark = new AttentionBenchmark(SIZE, List.of(64), attentions);
    Heard heard = new Heard();
    benchmark.run(folder.resolve("new"), Duration.ofMinutes(10), ROUNDS, null, heard);
    assertThat(heard.announced).isEqualTo(3);
    assertThat(String.join("\n", heard.lines)).contains("reformer, causal").contains("linformer");
    for (var attention : attentions) {
      var costs = attention.costs(false, 4096, SIZE);
      var twice = attention.costs(false, 8192, SIZE);
      boolean isReformer = attention.toString().equals("reformer"); // its directions grow
      double ratio = twice.forward().flop() / costs.forward().flop();
      assertThat(ratio).isBetween(2.0, isReformer ? 4.0 : 2.0);
      assertThat(costs.train().flop()).isGreaterThan(costs.forward().flop());
    }
    assertThatThrownBy(() -> attentions.get(1).model(64, SIZE)).hasMessageContaining("causal");
  }

  @Test
  void rowsAreWrittenAsTheyCome() throws Exception {
    var benchmark =
        new AttentionBenchmark(SIZE, List.of(32), List.of(BenchmarkedAttention.of("relu")));
    Heard heard = new Heard();
    var outcome = benchmark.run(folder.resolve("new"), Duration.ofMinutes(10), ROUNDS, null, heard);
    assertThat(heard.announced).isEqualTo(2);
    assertThat(heard.estimate).isGreaterThan(Duration.ofSeconds(2));
    assertThat(heard.written).containsExactly(2, 2);
    assertThat(heard.lines.get(1)).contains("FAVOR+ relu, causal", "L=32", "forward");
    assertThat(outcome.files())
        .extracting(file -> file.getFileName().toString())
        .containsExactly("bench.json", "bench.md", "bench.png");
    assertThat(Files.readString(folder.resolve("new/bench.md"))).isEqualTo(outcome.table());
    assertThat(StrictJson.readTree(folder.resolve("new/bench.json")).at("/rows/0/measurement"))
        .isNotEmpty();
  }

  @Test
  void whatFailsDoesNotEndTheOthers() {
    var benchmark =
        new AttentionBenchmark(SIZE, List.of(32), List.of(BenchmarkedAttention.of("relu")));
    Heard heard = new Heard();
    assertThatThrownBy(
            () -> benchmark.run(folder.resolve("new"), Duration.ofMillis(1), ROUNDS, null, heard))
        .isInstanceOf(PerformerException.class)
        .hasMessage(
            "2 of 2 measurements failed; FAVOR+ relu at L=32: no result after 0.001 seconds");
    assertThat(heard.written).containsExactly(2, 2);
  }

  @Test
  void whatNeedsMoreMemoryThanThereIsIsLeftOut() {
    var benchmark =
        new AttentionBenchmark(SIZE, List.of(1 << 24), List.of(BenchmarkedAttention.EXACT));
    Heard heard = new Heard();
    benchmark.run(folder.resolve("new"), Duration.ofMinutes(10), ROUNDS, null, heard);
    assertThat(heard.lines).allMatch(line -> line.endsWith("it needs more memory than there is"));
    assertThat(heard.estimate).isZero();
  }

  @Test
  void sizesAndLengthsAreChecked() {
    assertThatThrownBy(() -> new Benchmark.Size(1, 0, 8, 8)).hasMessageContaining("not 0");
    assertThatThrownBy(() -> new AttentionBenchmark(SIZE, List.of(), List.of()))
        .hasMessageContaining("lengths");
    assertThatThrownBy(() -> new GenerationBenchmark(SIZE, List.of(8), List.of(), List.of()))
        .hasMessageContaining("at least 16 tokens");
  }
}
