package dev.performer.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.graph.Tensors;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.RotaryScaling.Kind;
import dev.performer.nn.Sinusoids.Rotation;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

class RotaryScalingTest {
  private static final int D = 8;

  /** Sines, {@code [L, D/2]} in C order. */
  private static float[] sines(RotaryScaling scaling, int headSize, int... positions) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var rotation = Rotation.at(tf, tf.constant(positions), headSize, scaling, null);
      try (var result = session.runner().fetch(rotation.sines()).run()) {
        return Tensors.floats(result.get(0));
      }
    }
  }

  @Test
  void interpolatedPositionsTurnByWhatNearerOnesDid() {
    float[] scaled = sines(new RotaryScaling(Kind.LINEAR, 4), D, 0, 4, 40, 400);
    assertThat(scaled).containsExactly(sines(null, D, 0, 1, 10, 100), within(1e-7f));
    assertThat(scaled).isNotEqualTo(sines(null, D, 0, 4, 40, 400));
    // Between two old positions: 6/4 of the angle of position 1.
    float[] between = sines(new RotaryScaling(Kind.LINEAR, 4), D, 6);
    for (int i = 0; i < D / 2; i++) {
      double angle = 1.5 * Math.pow(10000, -2.0 * i / D);
      assertThat((double) between[i]).isCloseTo(Math.sin(angle), within(1e-7));
    }
  }

  @ParameterizedTest
  @CsvSource({"8, 2", "8, 16", "64, 4", "4, 8"})
  void aRaisedBaseKeepsTheFastestPairAndSlowsTheSlowestByTheFactor(int headSize, double factor) {
    int last = headSize / 2 - 1;
    float[] ntk = sines(new RotaryScaling(Kind.NTK, factor), headSize, 3);
    float[] plain = sines(null, headSize, 3);
    float[] linear = sines(new RotaryScaling(Kind.LINEAR, factor), headSize, 3);
    assertThat(ntk[0]).isEqualTo(plain[0]);
    assertThat(ntk[last]).isCloseTo(linear[last], within(1e-6f * linear[last]));
    double base = 10000 * Math.pow(factor, headSize / (headSize - 2.0));
    for (int i = 0; i <= last; i++) {
      double expected = Math.sin(3 * Math.pow(base, -2.0 * i / headSize));
      assertThat((double) ntk[i]).isCloseTo(expected, within(1e-7));
    }
  }

  /** A base of 100 in place of 10,000, given as numbers, and slowed like any other. */
  @ParameterizedTest
  @CsvSource({"LINEAR, 4", "NTK, 4"})
  void frequenciesOfAModelsOwnAreSlowedAlike(Kind kind, double factor) {
    List<Double> own = List.of(1.0, Math.pow(100, -0.25), 0.1, Math.pow(100, -0.75));
    double[] plain = RotaryScaling.frequencies(null, own, 10000, D);
    double[] usual = RotaryScaling.frequencies(null, null, 100, D);
    double[] slower = RotaryScaling.frequencies(new RotaryScaling(kind, factor), own, 10000, D);
    double[] both = RotaryScaling.frequencies(new RotaryScaling(kind, factor), null, 100, D);
    assertThat(plain).containsExactly(usual, within(1e-12));
    assertThat(slower).containsExactly(both, within(1e-12)).isNotEqualTo(plain);
  }

  @Test
  void aFactorOfOneChangesNothing() {
    float[] plain = sines(null, D, 0, 1, 500);
    for (Kind kind : Kind.values()) {
      assertThat(sines(new RotaryScaling(kind, 1), D, 0, 1, 500)).isEqualTo(plain);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "positions=learned rotaryScaling={kind: linear, factor: 2} | needs positions: rotary",
        "positions=rotary rotaryScaling={kind: linear, factor: 0.5} | factor must be at least 1",
        "positions=rotary rotaryScaling={factor: 2} | needs a kind",
        "positions=rotary headSize=2 rotaryScaling={kind: ntk, factor: 2} | headSize of at least 4",
      })
  void whatMakesNoSenseIsRefused(String settings, String message) {
    var config = PerformerConfig.preset("performer");
    assertThatThrownBy(() -> config.with(settings.split(" (?![^{]*})")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message);
  }

  @Test
  void textsAndKeys() {
    assertThat(RotaryScaling.parse("ntk:2.5")).isEqualTo(new RotaryScaling(Kind.NTK, 2.5));
    assertThat(RotaryScaling.parse("linear:4")).hasToString("linear:4.0");
    assertThatThrownBy(() -> RotaryScaling.parse("yarn:4")).hasMessageContaining("linear:4 or ntk");
    var config = PerformerConfig.preset("performer").with("positions=rotary");
    assertThat(config.toJson().has("rotaryScaling")).isFalse();
    var scaled = config.with("rotaryScaling={kind: ntk, factor: 4}");
    assertThat(PerformerConfig.of(scaled.toJson(), "test")).isEqualTo(scaled);
  }
}
