package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.attention.Calibration;
import dev.performer.data.NpyArray;
import dev.performer.distill.TinyBert;
import dev.performer.graph.Tensors;
import dev.performer.model.AttentionConfig;
import dev.performer.model.FavorConversion;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.testing.GraphRun;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/** Calibration changes what random features estimate, and not what exact attention computes. */
class CalibratorTest {
  private static final List<int[]> SEQUENCES = sequences(40);

  private static List<int[]> sequences(int count) {
    Random random = new Random(3);
    List<int[]> sequences = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int length = 3 + random.nextInt(TinyBert.LONGEST - 2);
      sequences.add(random.ints(length, 1, 12).toArray());
    }
    return sequences;
  }

  /** With heads as trained ones are: off the origin, sharp, queries longer than keys. */
  private record Model(PerformerConfig config, Map<String, NpyArray> weights) {
    static Model of(String keys) {
      var given = JsonNodeFactory.instance.objectNode();
      for (String key : keys.split(" ")) {
        if (key.equals("rotary")) {
          given.put("positions", "rotary");
        } else if (key.equals("unbiased")) {
          given.put("attentionBias", false);
        } else if (key.equals("causal")) {
          given.putObject("attention").put("exact", true).put("causal", true);
        }
      }
      PerformerConfig config = TinyBert.config("masked-lm").with(given, "test");
      Map<String, NpyArray> weights = new LinkedHashMap<>(TinyBert.weights(config, 5));
      weights.replaceAll(
          (name, w) ->
              name.contains("/query/") ? times(w, 6) : name.contains("/key/") ? times(w, 3) : w);
      return new Model(config, weights);
    }

    Calibrator.Found calibrated() {
      return new Calibrator(config, weights).calibrate(Set.of(0, 1), SEQUENCES, 0, 12, "data");
    }

    FavorConversion.Converted converted(int features) {
      var favor = FavorConversion.calibratedDefaults().features(features).build();
      var conversion = new FavorConversion(favor, Set.of());
      return conversion.apply(config, weights, calibrated().layers());
    }
  }

  private static NpyArray times(NpyArray x, double factor) {
    double[] scaled = Arrays.stream(x.doubles()).map(y -> factor * y).toArray();
    return NpyArray.of(NpyArray.of(scaled, x.shape()).floats(), x.shape());
  }

  /** Logits of some sequences, one after the other. */
  private static double[] logits(PerformerConfig config, Map<String, NpyArray> weights) {
    List<Double> all = new ArrayList<>();
    Map<String, NpyArray> own = new HashMap<>(weights);
    own.keySet().retainAll(Performer.shapes(config).keySet());
    new ModelPass(config, own)
        .run(
            SEQUENCES.subList(0, 5),
            0,
            0,
            (tf, out) -> List.of(tf.dtypes.cast(out.logits(), TFloat64.class).asOutput()),
            (i, values) -> Arrays.stream(values).forEach(all::add));
    return all.stream().mapToDouble(x -> x).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"bias", "unbiased", "rotary", "rotary unbiased", "causal"})
  void exactAttentionIsWhatItWasAndFeaturesComeNearer(String keys) {
    Model model = Model.of(keys);
    var converted = model.converted(16);
    double[] before = logits(model.config, model.weights);
    assertThat(logits(model.config, converted.weights()))
        .usingComparatorWithPrecision(1e-5 * GraphRun.maxAbs(before))
        .containsExactly(before);
    assertThat(((AttentionConfig.Favor) converted.config().attentionOf(1)).config().causal())
        .isEqualTo(keys.equals("causal"));
    var report =
        CalibrationReport.measure(
            model.config, model.weights, converted, model.calibrated(), SEQUENCES, 0, 0);
    assertThat(report.heads()).hasSize(4);
    assertThat(report.heads()).allMatch(h -> h.after().queryNorm() < h.before().queryNorm());
    double own = report.heads().stream().mapToDouble(h -> h.before().error()).sum();
    double then = report.heads().stream().mapToDouble(h -> h.after().error()).sum();
    assertThat(then).isLessThan(0.8 * own);
    assertThat(report.summary()).contains("calibrated on").doesNotContain("regularized");
    assertThat(report.json().path("heads").path(3).path("after").path("error").isNumber()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"bias", "rotary unbiased"})
  void manyFeaturesComputeTheOriginal(String keys) {
    Model model = Model.of(keys);
    var converted = model.converted(8192);
    double[] before = logits(model.config, model.weights);
    double[] after = logits(converted.config(), converted.weights());
    assertThat(GraphRun.maxDifference(after, before) / GraphRun.maxAbs(before)).isLessThan(0.1);
  }

  @Test
  void aPerformerIsCalibratedAgain() {
    Model model = Model.of("bias");
    var once = model.converted(16);
    var again = new Model(once.config(), once.weights()).converted(24);
    assertThat(again.layers()).containsExactly(0, 1);
    double[] before = logits(model.config, model.weights);
    assertThat(logits(model.config, again.weights()))
        .usingComparatorWithPrecision(1e-5 * GraphRun.maxAbs(before))
        .containsExactly(before);
  }

  /** Redrawn directions are stretched as the first ones were. */
  @Test
  void newDirectionsKeepTheirPlace() {
    var converted = Model.of("bias").converted(8);
    var weights = converted.weights();
    NpyArray p = weights.get("layer_1/attention/projection");
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var directions =
          Calibration.directions(
              tf,
              constant(tf, p),
              constant(tf, weights.get("layer_1/attention/calibration/amounts")),
              constant(tf, weights.get("layer_1/attention/calibration/basis")));
      try (Result result = session.runner().fetch(directions).run()) {
        assertThat(Tensors.floats(result.get(0)))
            .usingComparatorWithPrecision(1e-5f)
            .containsExactly(weights.get("layer_1/attention/calibration/directions").floats());
      }
    }
  }

  private static Operand<TFloat32> constant(Ops tf, NpyArray x) {
    return tf.reshape(tf.constant(x.floats()), tf.constant(x.shape()));
  }

  @Test
  void whatDoesNotVaryIsRegularizedAndNamed() {
    Model model = Model.of("bias");
    model.weights.replaceAll(
        (name, w) -> name.equals("layer_0/attention/key/kernel") ? times(w, 0) : w);
    var converted = model.converted(16);
    double[] before = logits(model.config, model.weights);
    assertThat(logits(model.config, converted.weights()))
        .usingComparatorWithPrecision(1e-5 * GraphRun.maxAbs(before))
        .containsExactly(before);
    assertThat(logits(converted.config(), converted.weights())).doesNotContain(Double.NaN);
    var report =
        CalibrationReport.measure(
            model.config, model.weights, converted, model.calibrated(), SEQUENCES, 0, 0);
    assertThat(report.regularized()).isEqualTo(2);
    assertThat(report.summary()).contains("2 heads vary next to nothing along a direction");
  }

  /** One sequence again and again: fewer different tokens than dimensions, so no full rank. */
  @Test
  void aCovarianceWithoutFullRankIsRegularizedAndNamed() {
    Model model = Model.of("bias");
    List<int[]> one = Collections.nCopies(12, new int[] {3, 5, 3});
    var found =
        new Calibrator(model.config, model.weights).calibrate(Set.of(0, 1), one, 0, 12, "data");
    assertThat(found.regularized()).isEqualTo(4);
    var favor = FavorConversion.calibratedDefaults().features(16).build();
    var converted =
        new FavorConversion(favor, Set.of()).apply(model.config, model.weights, found.layers());
    double[] before = logits(model.config, model.weights);
    assertThat(logits(model.config, converted.weights()))
        .usingComparatorWithPrecision(1e-5 * GraphRun.maxAbs(before))
        .containsExactly(before);
    assertThat(logits(converted.config(), converted.weights())).doesNotContain(Double.NaN);
    var report =
        CalibrationReport.measure(model.config, model.weights, converted, found, one, 0, 0);
    assertThat(report.summary()).contains("4 heads vary next to nothing along a direction");
  }

  @Test
  void aCalibrationNeedsTokensAndNumbers() {
    Model model = Model.of("bias");
    var calibrator = new Calibrator(model.config, model.weights);
    assertThatThrownBy(
            () -> calibrator.calibrate(Set.of(0), List.of(new int[] {1, 2, 3}), 0, 0, "few.npz"))
        .isInstanceOf(PerformerException.class)
        .hasMessage("few.npz: 3 tokens are too few to calibrate heads of size 8; give 32 or more");
    var padding = List.of(new int[0], new int[0]);
    for (List<int[]> none : List.of(padding, List.<int[]>of())) {
      assertThatThrownBy(() -> calibrator.calibrate(Set.of(0, 1), none, 0, 12, "padding.npz"))
          .isInstanceOf(PerformerException.class)
          .hasMessageStartingWith("padding.npz: 0 tokens are too few");
    }
    model.weights.replaceAll(
        (n, w) -> n.equals("layer_1/attention/query/kernel") ? times(w, Double.NaN) : w);
    assertThatThrownBy(() -> calibrator.calibrate(Set.of(1), SEQUENCES, 0, 0, "data"))
        .hasMessage(
            "data: queries or keys of layer 1 are not finite numbers; nothing can be calibrated");
  }

  @Test
  void momentsAreThoseOfTokensThatCount() {
    Model model = Model.of("bias");
    var alone = HeadMoments.of(model.config, model.weights, Set.of(1), SEQUENCES, 0, 0, "data");
    var padded = HeadMoments.of(model.config, model.weights, Set.of(1), SEQUENCES, 0, 12, "data");
    assertThat(padded.get(1).tokens())
        .isEqualTo(SEQUENCES.stream().mapToLong(s -> s.length).sum())
        .isEqualTo(alone.get(1).tokens());
    assertThat(padded.get(1).keyCovariance())
        .usingComparatorWithPrecision(1e-5)
        .containsExactly(alone.get(1).keyCovariance());
    assertThat(padded.get(1).queryMean()[3]).isCloseTo(alone.get(1).queryMean()[3], within(1e-6));
  }
}
