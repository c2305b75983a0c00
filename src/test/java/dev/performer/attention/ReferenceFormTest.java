package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat64;

/** The fast form against the maths as the paper prints it, forward and backward, in float64. */
class ReferenceFormTest {
  private static final int D = 8;

  @ParameterizedTest
  @CsvSource({
    "SOFTMAX, false, false",
    "SOFTMAX, false, true",
    "SOFTMAX, true, false",
    "SOFTMAX, true, true",
    "HYPERBOLIC, false, true",
    "HYPERBOLIC, true, false"
  })
  void theFastFormIsTheReferenceForm(Kernel kernel, boolean causal, boolean masked) {
    FavorConfig config =
        FavorConfig.of(kernel).withFeatures(12).withCausal(causal).toBuilder().chunk(4).build();
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(3, 2, 2, 11, 11, D, 5, 0.7));
    arrays.put("P", Inputs.projection(config, D, 5));
    if (masked) {
      double[] mask = new double[22];
      java.util.Arrays.fill(mask, 2, 22, 1);
      mask[13] = 0;
      arrays.put("mask", NpyArray.of(mask, 2, 11));
    }
    Map<String, double[]> fast;
    try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
      fast = run.run(arrays, arrays.get("g"));
    }
    reference(kernel, causal, arrays)
        .forEach(
            (name, expected) ->
                assertThat(
                        GraphRun.maxDifference(fast.get(name), expected)
                            / Math.max(1, GraphRun.maxAbs(expected)))
                    .as(name)
                    .isLessThan(1e-11));
  }

  private static Map<String, double[]> reference(
      Kernel kernel, boolean causal, Map<String, NpyArray> arrays) {
    boolean isMirrored = kernel.featuresPerDirection() == 2;
    Map<String, Shape> shapes = new LinkedHashMap<>();
    arrays.forEach((name, array) -> shapes.put(name, Shape.of(array.shape())));
    shapes.remove("g");
    try (var run =
        new GraphRun<>(
            TFloat64.class,
            shapes,
            List.of("q", "k", "v"),
            (tf, in) ->
                NaiveLinearAttention.attend(
                    tf,
                    PositiveFeatures.log(tf, in.get("q"), in.get("P"), isMirrored),
                    PositiveFeatures.log(tf, in.get("k"), in.get("P"), isMirrored),
                    in.get("v"),
                    in.get("mask"),
                    causal))) {
      return run.run(arrays, arrays.get("g"));
    }
  }
}
