package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.NpyArray;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class AttentionRunTest {
  private final Map<String, NpyArray> arrays =
      new HashMap<>(
          Map.of(
              "q", uniform(1, 1, 5, 2, 3),
              "k", uniform(2, 1, 5, 2, 3),
              "v", uniform(3, 1, 5, 2, 4),
              "g", uniform(4, 1, 5, 2, 4)));

  @Test
  void gradientsInFloat64AreFiniteDifferences() {
    for (AttentionRun run :
        new AttentionRun[] {
          AttentionRun.exact(true), AttentionRun.favor(FavorConfig.of(Kernel.DEFAULT))
        }) {
      Map<String, NpyArray> results = run.run(arrays);
      double step = 1e-6;
      double numeric = (loss(run, step) - loss(run, -step)) / (2 * step);
      assertThat(numeric).isCloseTo(results.get("dq").doubles()[7], within(1e-6));
    }
  }

  private double loss(AttentionRun run, double move) {
    Map<String, NpyArray> moved = new HashMap<>(arrays);
    NpyArray q = arrays.get("q");
    double[] values = q.doubles();
    values[7] += move;
    moved.put("q", NpyArray.of(values, q.shape()));
    double[] out = run.run(moved).get("out").doubles();
    double[] g = arrays.get("g").doubles();
    double loss = 0;
    for (int i = 0; i < out.length; i++) {
      loss += out[i] * g[i];
    }
    return loss;
  }

  @Test
  void exactAttentionTakesNoProjection() {
    arrays.put("P", uniform(5, 6, 3));
    assertThatThrownBy(() -> AttentionRun.exact(false).run(arrays))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no projection P")
        .hasMessageNotContaining("--");
  }

  @Test
  void aGivenProjectionDecidesAboutTheFeatures() {
    arrays.put("P", uniform(5, 6, 3));
    Map<String, NpyArray> results = AttentionRun.favor(FavorConfig.of(Kernel.DEFAULT)).run(arrays);
    assertThat(results.get("dP").shape()).containsExactly(6, 3);
    assertThat(results.get("P")).isEqualTo(arrays.get("P"));
  }

  private static NpyArray uniform(int seed, long... shape) {
    int size = 1;
    for (long d : shape) {
      size *= (int) d;
    }
    return NpyArray.of(new Random(seed).doubles(size, -1, 1).toArray(), shape);
  }
}
