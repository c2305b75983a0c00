package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.cli.CommandLineRun;
import dev.performer.study.TrainingBenchmark.Compute;
import dev.performer.training.Memory;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class BenchmarksTest {
  private static final Benchmarks.Choice CHOICE =
      new Benchmarks.Choice(
          1,
          null,
          null,
          null,
          null,
          BenchmarkedAttention.DEFAULTS,
          List.of(Compute.values()),
          List.of(Memory.SEGMENTS),
          1,
          1,
          80,
          new Benchmarks.Commands(
              List.of("performer"),
              List.of(List.of("--version"), List.of("inspect", RowsBenchmark.MODEL)),
              List.of("Main", "serve"),
              List.of(),
              List.of(List.of("Main", "embed")),
              List.of("--batch", "1")));

  @ParameterizedTest
  @EnumSource
  void everyOneNamesItsCases(Benchmarks one) {
    assertThat(Benchmarks.of(one.label().toUpperCase())).isEqualTo(one);
    var cases = one.plan(CHOICE).cases();
    assertThat(cases).isNotEmpty();
    assertThat(cases).extracting(Benchmark.Case::label).doesNotHaveDuplicates();
    assertThat(cases).allSatisfy(c -> assertThat(c.seconds()).isPositive());
  }

  @Test
  void unknownNamesAreRefused() {
    assertThatThrownBy(() -> Benchmarks.of("atention"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("atention")
        .hasMessageContaining(
            "attention, layers, encoder, train, length, generate, import, start-up, serve, rows");
    CommandLineRun.of("bench", "atention").failed(2, "atention", "attention");
    CommandLineRun.of("bench", "layers", "--train").failed(2, "--train", "names of benchmarks");
    CommandLineRun.of("bench", "layers", "--rounds", 0).failed(2, "--rounds", "at least 1");
    CommandLineRun.of("bench", "serve", "--profile").failed(1, "serve has no work");
  }

  /** Per token and head, as the literature counts them. */
  @Test
  void formulasOfAttention() {
    var size = new Benchmark.Size(1, 1, 64, 256);
    int l = 4096;
    var softmax = BenchmarkedAttention.of("softmax").costs(true, l, size);
    assertThat(softmax.forward().flop() / l).isEqualTo(8.0 * 256 * 64);
    assertThat(softmax.train().flop() / l).isEqualTo(20.0 * 256 * 64);
    var mirrored = BenchmarkedAttention.of("hyperbolic").costs(false, l, size);
    assertThat(mirrored.train().flop() / l).isEqualTo(32.0 * 256 * 64);
    var relu = BenchmarkedAttention.of("relu").costs(false, l, size);
    assertThat(relu.train().flop() / l).isEqualTo(12.0 * 64 * 64);
    var exact = BenchmarkedAttention.EXACT.costs(false, l, size);
    assertThat(exact.train().flop() / l).isEqualTo(12.0 * l * 64);
    var causal = BenchmarkedAttention.EXACT.costs(true, l, size);
    assertThat(causal.train().flop() / exact.train().flop()).isCloseTo(0.5, within(1e-3));
  }

  @Test
  void partsOfALayerHaveGradients() throws IOException {
    var layers = new LayerBenchmark(new Benchmark.Size(1, 2, 8, 8), List.of(16));
    for (var planned : layers.cases()) {
      var measured = planned.measure();
      assertThat(measured.result().forward().minMs()).isPositive();
      assertThat(measured.result().train().runs()).isGreaterThanOrEqualTo(3);
      try (var open = planned.open()) {
        var profile = OpProfile.of(open.work().get("forward+backward"));
        assertThat(profile.nodes()).isGreaterThan(OpProfile.of(open.work().get("forward")).nodes());
      }
    }
  }
}
