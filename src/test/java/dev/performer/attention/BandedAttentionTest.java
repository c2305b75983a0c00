package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * Exact weights on a window and on sinks, features elsewhere: against the formula as it is read.
 */
class BandedAttentionTest {
  private static final int B = 2;
  private static final int H = 2;
  private static final int D = 8;
  private static final int V = 5;

  /** Window, sinks, chunk, length. */
  private record Shape(int window, List<Integer> sinks, int chunk, int length) {}

  private static final List<Shape> SHAPES =
      List.of(
          new Shape(3, List.of(), 0, 41),
          new Shape(3, List.of(0, 2), 4, 23),
          new Shape(5, List.of(1), 2, 23),
          new Shape(1, List.of(0), 1, 150), // several groups of blocks
          new Shape(0, List.of(0, 5), 4, 19), // no window
          new Shape(100, List.of(), 0, 17), // all in the window
          new Shape(2, List.of(30), 3, 10), // a sink that is not there
          new Shape(40, List.of(0), 0, 90),
          new Shape(1, List.of(), 0, 1));

  /** Every shape, causal or not, one of both masked, with the kernels in turn. */
  static Stream<Arguments> cases() {
    return IntStream.range(0, 2 * SHAPES.size())
        .mapToObj(i -> Arguments.of(kernel(i), i % 2 > 0, SHAPES.get(i / 2), (i + i / 2) % 2 > 0));
  }

  private static Kernel kernel(int i) {
    var kernels = Kernel.unbiased();
    Kernel kernel = kernels.get((i + i / 2) % kernels.size());
    return i % 2 > 0 && kernel.isBidirectionalOnly() ? Kernel.SOFTMAX : kernel;
  }

  /** A few of them. */
  static Stream<Arguments> some() {
    return cases().filter(c -> ((Shape) c.get()[2]).length() < 30 && (boolean) c.get()[3]);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void isItsFormula(Kernel kernel, boolean causal, Shape shape, boolean masked) {
    FavorConfig config = config(kernel, causal, shape);
    var arrays = arrays(config, shape, masked, 0.9);
    double[] expected = naive(config, arrays);
    double scale = Math.max(1, GraphRun.maxAbs(expected));
    try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected) / scale).isLessThan(1e-11);
    }
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      double tolerance = kernel == Kernel.TRIGONOMETRIC ? 1e-3 : 2e-5;
      assertThat(GraphRun.maxDifference(run.value(arrays), expected) / scale).isLessThan(tolerance);
    }
  }

  /** Logits of several hundred, which neither exp nor features hold. */
  @ParameterizedTest
  @MethodSource("some")
  void isStableForLargeLogits(Kernel kernel, boolean causal, Shape shape, boolean masked) {
    if (kernel == Kernel.TRIGONOMETRIC) {
      return;
    }
    FavorConfig config = config(kernel, causal, shape);
    var arrays = arrays(config, shape, masked, 8);
    double[] expected = naive(config, arrays);
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      double[] actual = run.value(arrays);
      assertThat(actual).doesNotContain(Double.NaN);
      int far = 0;
      for (int i = 0; i < actual.length; i++) {
        // Where two weights of a row are nearly one, float32 decides between them.
        far += Math.abs(actual[i] - expected[i]) > 1e-2 ? 1 : 0;
      }
      assertThat(far).isLessThanOrEqualTo(actual.length / 50);
      run.run(arrays, arrays.get("g"))
          .forEach((name, x) -> assertThat(x).as(name).doesNotContain(Double.NaN));
    }
  }

  @ParameterizedTest
  @MethodSource("some")
  void aWindowOfAllIsExactAttention(Kernel kernel, boolean causal, Shape shape, boolean masked) {
    var whole = new Shape(shape.length(), shape.sinks(), shape.chunk(), shape.length());
    FavorConfig config = config(kernel, causal, whole);
    var arrays = arrays(config, whole, masked, 5);
    try (var run = Inputs.run(TFloat32.class, null, config, arrays);
        var exact = Inputs.run(TFloat32.class, new ExactAttention(causal), null, arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), exact.value(arrays))).isLessThan(2e-5);
    }
  }

  @ParameterizedTest
  @MethodSource("some")
  void gradientsAreDifferences(Kernel kernel, boolean causal, Shape shape, boolean masked) {
    if (shape.length() > 30 || shape.chunk() == 0 || kernel == Kernel.FAVOR_PLUS_PLUS) {
      return;
    }
    FavorConfig config = config(kernel, causal, shape);
    var arrays = arrays(config, shape, masked, 0.9);
    Random random = new Random(3);
    try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
      Map<String, double[]> analytic = run.run(arrays, arrays.get("g"));
      for (String name : List.of("q", "k", "v")) {
        NpyArray x = arrays.get(name);
        double[] direction = random.doubles(x.doubles().length, -1, 1).toArray();
        double slope = NaiveAttention.dot(analytic.get("d" + name), direction);
        double numeric =
            (8 * moved(run, arrays, name, direction, 1e-4)
                    - moved(run, arrays, name, direction, 2e-4))
                / 12e-4;
        double scale = Math.max(1e-3, Math.abs(numeric));
        assertThat(Math.abs(slope - numeric) / scale).as(name).isLessThan(1e-6);
      }
    }
  }

  private static double moved(
      GraphRun<TFloat64> run,
      Map<String, NpyArray> arrays,
      String name,
      double[] direction,
      double step) {
    double[] values = new double[2];
    for (int side = 0; side < 2; side++) {
      double[] x = arrays.get(name).doubles();
      for (int i = 0; i < x.length; i++) {
        x[i] += (side == 0 ? step : -step) * direction[i];
      }
      var all = new LinkedHashMap<>(arrays);
      all.put(name, NpyArray.of(x, arrays.get(name).shape()));
      values[side] = NaiveAttention.dot(run.value(all), arrays.get("g").doubles());
    }
    return values[0] - values[1];
  }

  @Test
  void theLastKeyThatCountsMayBeASink() {
    Shape shape = new Shape(2, List.of(0, -1, -2), 4, 23);
    FavorConfig config = config(Kernel.HYPERBOLIC, false, shape);
    var arrays = arrays(config, shape, true, 0.9);
    try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
      double[] difference = run.value(arrays);
      assertThat(GraphRun.maxDifference(difference, naive(config, arrays))).isLessThan(1e-11);
    }
  }

  @Test
  void withoutItsLinearPartOtherKeysHaveNoWeight() {
    for (boolean causal : new boolean[] {false, true}) {
      for (Shape shape : SHAPES) {
        FavorConfig config =
            config(Kernel.SOFTMAX, causal, shape).toBuilder().linear(false).build();
        var arrays = arrays(config, shape, true, 0.9);
        try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
          assertThat(GraphRun.maxDifference(run.value(arrays), naive(config, arrays)))
              .isLessThan(1e-11);
        }
      }
    }
  }

  @Test
  void refusesWhatSharesNoScale() {
    refused(FavorConfig.builder().kernel(Kernel.RELU).window(4), "kernel relu");
    refused(FavorConfig.builder().kernel(Kernel.EXPMOD).sinks(List.of(0)), "kernel expmod");
    var google = FavorConfig.builder().kernel(Kernel.SOFTMAX).convention(Convention.GOOGLE_TF);
    refused(google.window(1), "convention google-tf");
    refused(softmax().window(-1), "window cannot be negative");
    refused(softmax().sinks(List.of(0, 0)), "twice");
    refused(softmax().sinks(List.of(-1)).causal(true), "from 0");
    refused(softmax().window(2).renormalize(false), "renormalize: true");
    refused(softmax().linear(false), "linear: false");
  }

  private static FavorKeys softmax() {
    return FavorConfig.builder().kernel(Kernel.SOFTMAX);
  }

  private static void refused(FavorKeys keys, String reason) {
    assertThatThrownBy(keys::build)
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(reason);
  }

  private static FavorConfig config(Kernel kernel, boolean causal, Shape shape) {
    return FavorConfig.of(kernel).withFeatures(12).withCausal(causal).toBuilder()
        .window(shape.window())
        .sinks(shape.sinks())
        .chunk(shape.chunk())
        .build();
  }

  /** The first item keeps all but some at both ends, where masked; the second keeps none. */
  private static Map<String, NpyArray> arrays(
      FavorConfig config, Shape shape, boolean masked, double amplitude) {
    int l = shape.length();
    var arrays = new LinkedHashMap<>(Inputs.random(3, B, H, l, l, D, V, amplitude));
    arrays.put("P", Inputs.projection(config, D, 5));
    if (masked) {
      double[] mask = new double[B * l];
      Arrays.fill(mask, l / 8, l - l / 4, 1);
      arrays.put("mask", NpyArray.of(mask, B, l));
    }
    return arrays;
  }

  private static double[] naive(FavorConfig config, Map<String, NpyArray> arrays) {
    List<double[]> heads = new ArrayList<>();
    int l = (int) arrays.get("k").shape()[2];
    for (int b = 0; b < B; b++) {
      double[] mask = new double[l];
      Arrays.fill(mask, 1);
      if (arrays.containsKey("mask")) {
        mask = Arrays.copyOfRange(arrays.get("mask").doubles(), b * l, b * l + l);
      }
      for (int h = 0; h < H; h++) {
        double[][] q = Inputs.head(arrays.get("q"), b, h);
        double[][] k = Inputs.head(arrays.get("k"), b, h);
        double[][] v = Inputs.head(arrays.get("v"), b, h);
        double[][] p = Inputs.matrix(arrays.get("P"));
        heads.add(Inputs.flatten(NaiveBand.attend(config, q, k, v, p, mask)));
      }
    }
    return heads.stream().flatMapToDouble(Arrays::stream).toArray();
  }
}
