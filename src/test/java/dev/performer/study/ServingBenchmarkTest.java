package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.cli.Main;
import dev.performer.study.ServingBenchmark.Case;
import dev.performer.study.ServingBenchmark.Kind;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("slow")
class ServingBenchmarkTest {
  private final Benchmark.Size size = new Benchmark.Size(1, 2, 8, 8);
  private final ServingBenchmark benchmark =
      new ServingBenchmark(
          size,
          1,
          List.of(Main.class.getName(), "serve", "--no-grpc", "--port", ServingBenchmark.PORT),
          List.of("--no-batching"));

  private Case measured(Kind kind, int clients) throws IOException {
    return new Case(kind, clients, size, 1, benchmark.serve(), null).measure();
  }

  @Test
  void everyLoadIsMeasured() throws IOException {
    Case predict = measured(Kind.PREDICT, 4);
    Case generate = measured(Kind.GENERATE, 2);
    Case sessions = measured(Kind.SESSIONS, 5);
    assertThat(predict.result().perSecond()).isPositive();
    assertThat(predict.result().p99Ms()).isGreaterThanOrEqualTo(predict.result().p50Ms());
    assertThat(generate.result().perSecond()).isPositive();
    // 4 layers, 2 heads: 8 features by 8 values and a sum, and their counts
    assertThat(sessions.result().statedMb()).isBetween(5 * 4 * 2 * 8 * 9 * 4 / 1e6, 1.0);
    assertThat(benchmark.table(List.of(predict, generate, sessions)))
        .contains("| 4 clients predict |", "| 2 streams of 64 tokens |", "5 open sessions");
    assertThat(benchmark.charts(List.of(predict))).hasSize(2);
  }

  @Test
  void allLoadsArePlanned() {
    assertThat(benchmark.cases()).extracting(Case::kind).contains(Kind.values());
    assertThat(benchmark.cases()).allSatisfy(c -> assertThat(c.label()).isNotBlank());
  }
}
