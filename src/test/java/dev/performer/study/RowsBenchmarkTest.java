package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.cli.CommandLineRun;
import dev.performer.cli.Main;
import dev.performer.study.RowsBenchmark.Case;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

class RowsBenchmarkTest {
  @Test
  @Tag("slow")
  void rowsASecondAndHowMuchFasterThatIs() throws IOException {
    List<String> embed =
        List.of(
            Main.class.getName(),
            "embed",
            RowsBenchmark.MODEL,
            "--data",
            RowsBenchmark.INPUT,
            "--output",
            RowsBenchmark.OUTPUT);
    var size = new Benchmark.Size(1, 2, 8, 8);
    var benchmark = new RowsBenchmark(size, 80, List.of(embed), List.of("--batch", "1"));
    List<Case> measured = new ArrayList<>();
    for (Case planned : benchmark.cases()) {
      measured.add(planned.measure());
    }
    assertThat(measured).extracting(Case::rows).containsExactly(80, 10);
    assertThat(measured).allSatisfy(c -> assertThat(c.result().perSecond()).isPositive());
    String ratio =
        Table.format(
            "%.1f×", measured.get(0).result().perSecond() / measured.get(1).result().perSecond());
    assertThat(benchmark.table(measured)).contains("| embed |", ratio);
  }

  @Test
  void badInput() {
    CommandLineRun.of("bench", "--rows", 1).failed(2, "--rows", "8");
    CommandLineRun.of("bench", "--rows", 100, "--serve").failed(2, "--rows exclude each other");
  }
}
