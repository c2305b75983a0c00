package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.types.TFloat64;

/** Gradients against central differences in float64, for every kernel of every convention. */
class GradientTest {
  private static final int D = 3;
  private static final double STEP = 1e-4;

  static Stream<Arguments> cases() {
    return Convention.known().stream()
        .flatMap(
            convention ->
                Arrays.stream(Kernel.values())
                    .flatMap(
                        kernel ->
                            Stream.of(false, true)
                                .filter(causal -> sensible(convention, kernel, causal))
                                .map(causal -> Arguments.of(convention.label(), kernel, causal))));
  }

  /** All of ours; of the official ones what differs from ours, to keep this quick. */
  private static boolean sensible(Convention convention, Kernel kernel, boolean causal) {
    if (causal && kernel == Kernel.FAVOR_PLUS_PLUS) {
      return false;
    }
    boolean ours = convention.equals(Convention.PERFORMER);
    return ours
        || (convention.has(kernel) && kernel.isSoftmax() && !causal)
        || kernel == Kernel.RELU;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void agreesWithFiniteDifferences(String label, Kernel kernel, boolean causal) {
    Convention convention = Convention.of(label);
    FavorConfig config =
        FavorConfig.of(kernel)
            .withConvention(convention)
            .withFeatures(4)
            .withCausal(causal)
            .toBuilder()
            .chunk(2)
            .build();
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(2, 1, 2, 3, 3, D, 2, 0.8));
    if (Set.of(Kernel.SIN, Kernel.IDENTITY, Kernel.TANH, Kernel.GELU).contains(kernel)) {
      // Positive data keep these features, and so the denominators, away from 0, where differences
      // measure nothing.
      arrays.replaceAll((n, x) -> n.equals("q") || n.equals("k") ? absolute(x) : x);
    } else {
      arrays.put("P", Inputs.projection(config, D, 9));
    }
    arrays.put("mask", NpyArray.of(new double[] {1, 1, 0}, 1, 3));
    try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
      Map<String, double[]> analytic = run.run(arrays, arrays.get("g"));
      for (String name : List.of("q", "k", "v")) {
        // FAVOR++ lets no gradient into A, of which the estimate's mean does not depend.
        if (kernel == Kernel.FAVOR_PLUS_PLUS && !name.equals("v")) {
          continue;
        }
        double[] numeric = numeric(run, arrays, name);
        double scale = Math.max(1e-3, GraphRun.maxAbs(numeric));
        assertThat(GraphRun.maxDifference(analytic.get("d" + name), numeric) / scale)
            .as("%s %s d%s", label, kernel, name)
            .isLessThanOrEqualTo(1e-6);
      }
    }
  }

  private static NpyArray absolute(NpyArray x) {
    return NpyArray.of(Arrays.stream(x.doubles()).map(Math::abs).toArray(), x.shape());
  }

  private static double[] numeric(
      GraphRun<TFloat64> run, Map<String, NpyArray> arrays, String name) {
    double[] x = arrays.get(name).doubles();
    double[] result = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      double near = loss(run, arrays, name, i, STEP) - loss(run, arrays, name, i, -STEP);
      double far = loss(run, arrays, name, i, 2 * STEP) - loss(run, arrays, name, i, -2 * STEP);
      result[i] = (8 * near - far) / (12 * STEP); // fourth order
    }
    return result;
  }

  private static double loss(
      GraphRun<TFloat64> run, Map<String, NpyArray> arrays, String name, int i, double step) {
    double[] x = arrays.get(name).doubles();
    x[i] += step;
    Map<String, NpyArray> moved = new LinkedHashMap<>(arrays);
    moved.put(name, NpyArray.of(x, arrays.get(name).shape()));
    return NaiveAttention.dot(run.value(moved), arrays.get("g").doubles());
  }
}
