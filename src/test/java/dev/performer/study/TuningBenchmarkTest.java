package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.FavorConfig;
import dev.performer.attention.MachineTuning;
import dev.performer.study.TuningBenchmark.Case;
import dev.performer.study.TuningBenchmark.Form;
import dev.performer.study.TuningBenchmark.Measured;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TuningBenchmarkTest {
  private static final int USUAL = FavorConfig.formulaChunk(8, 8);

  private static Case of(int threads, Map<String, Timing> timings) {
    return new Case(new Form(0, 8), 2, 32, threads, new Measured(timings));
  }

  private static Timing ms(double ms) {
    return new Timing(ms, ms, ms, 0, 1, 3);
  }

  @Test
  void whatIsHardlyFasterChangesNothing() {
    var near = of(0, Map.of("C=" + USUAL, ms(10), "C=512", ms(9.8)));
    var far = of(0, Map.of("C=" + USUAL, ms(10), "C=512", ms(9), "C=32", ms(9.5)));
    assertThat(TuningBenchmark.tuning(List.of(near, far)).chunks())
        .containsExactly(new MachineTuning.Chunk(8, 8, USUAL), new MachineTuning.Chunk(8, 8, 512));
  }

  @Test
  void threadsStayUnlessFewerAreFaster() {
    int cores = Runtime.getRuntime().availableProcessors();
    var one = of(1, Map.of("run", ms(10)));
    var all = of(cores, Map.of("run", ms(20)));
    assertThat(TuningBenchmark.tuning(List.of(one, all)).threads()).isEqualTo(cores == 1 ? 0 : 1);
    var fast = of(cores, Map.of("run", ms(5)));
    assertThat(TuningBenchmark.tuning(List.of(one, fast)).threads()).isZero();
  }

  @Test
  void itsWorkRuns() throws Exception {
    var benchmark = new TuningBenchmark(2, 32, List.of(new Form(0, 8)));
    var measured = benchmark.cases().get(0).measure();
    assertThat(measured.result().timings()).containsKeys("C=32", "C=512", "C=" + USUAL);
    assertThat(benchmark.table(List.of(measured))).contains("| D=8 |");
    assertThat(benchmark.cases()).extracting(Case::threads).contains(0, 1);
  }
}
