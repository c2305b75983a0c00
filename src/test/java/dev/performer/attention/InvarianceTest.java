package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/** What may not change an output: the future, padding, the chunk length, the float type. */
class InvarianceTest {
  private static final int D = 16;

  static Stream<Arguments> attentions() {
    return Arrays.stream(Kernel.values())
        .flatMap(
            kernel ->
                Stream.of(false, true)
                    .filter(causal -> !(causal && kernel == Kernel.FAVOR_PLUS_PLUS))
                    .map(causal -> Arguments.of(kernel, causal)));
  }

  private static FavorConfig config(Kernel kernel, boolean causal) {
    FavorConfig config = FavorConfig.of(kernel).withCausal(causal).toBuilder().chunk(8).build();
    return kernel.isSoftmax() ? config.withFeatures(32) : config;
  }

  private static Map<String, NpyArray> inputs(FavorConfig config, int b, int l, double amplitude) {
    Map<String, NpyArray> arrays =
        new LinkedHashMap<>(Inputs.random(11, b, 2, l, l, D, 6, amplitude));
    if (config.hasProjection()) {
      arrays.put("P", Inputs.projection(config, D, 7));
    }
    return arrays;
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "FAVOR_PLUS_PLUS")
  void nothingOfTheFutureReachesAnOutput(Kernel kernel) {
    FavorConfig config = config(kernel, true);
    int l = 21;
    Map<String, NpyArray> arrays = inputs(config, 1, l, 1);
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      double[] before = run.value(arrays);
      for (String name : List.of("k", "v")) {
        for (int position : new int[] {1, 7, 8, 15, 20}) {
          for (double factor : new double[] {0, 6, 100}) {
            Map<String, NpyArray> changed = new LinkedHashMap<>(arrays);
            changed.put(name, scaledAt(arrays.get(name), position, factor));
            assertThat(largestEarlierChange(before, run.value(changed), l, 6, position))
                .as("%s: %s[%d] times %s", kernel, name, position, factor)
                .isLessThanOrEqualTo(1e-6 * earlierScale(before, l, 6, position));
          }
        }
      }
    }
  }

  private static NpyArray scaledAt(NpyArray x, int position, double factor) {
    long[] s = x.shape();
    double[] all = x.doubles();
    for (int i = 0; i < all.length; i++) {
      if (i / s[3] % s[2] == position) {
        all[i] *= factor;
      }
    }
    return NpyArray.of(all, s);
  }

  private static double earlierScale(double[] out, int l, int v, int position) {
    return largestEarlierChange(out, new double[out.length], l, v, position);
  }

  private static double largestEarlierChange(double[] a, double[] b, int l, int v, int position) {
    return IntStream.range(0, a.length)
        .filter(i -> i / v % l < position)
        .mapToDouble(i -> difference(a[i], b[i]))
        .max()
        .orElse(0);
  }

  private static double difference(double a, double b) {
    double d = Math.abs(a - b);
    return Double.isNaN(d) ? Double.POSITIVE_INFINITY : d;
  }

  @ParameterizedTest
  @MethodSource("attentions")
  void paddingChangesNothing(Kernel kernel, boolean causal) {
    FavorConfig config = config(kernel, causal);
    int l = 13;
    int padded = 20;
    Map<String, NpyArray> arrays = inputs(config, 2, l, 1);
    Map<String, NpyArray> longer = new LinkedHashMap<>(arrays);
    for (String name : List.of("q", "k", "v", "g")) {
      longer.put(name, padded(arrays.get(name), padded, name.equals("g") ? 0 : 3));
    }
    double[] mask = new double[2 * padded];
    Arrays.fill(mask, 0, l, 1);
    Arrays.fill(mask, padded, padded + l, 1);
    longer.put("mask", NpyArray.of(mask, 2, padded));
    Map<String, double[]> expected;
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      expected = run.run(arrays, arrays.get("g"));
    }
    try (var run = Inputs.run(TFloat32.class, null, config, longer)) {
      run.run(longer, longer.get("g"))
          .forEach(
              (name, value) -> {
                int width = value.length / (2 * 2 * padded);
                double[] real = unpadded(value, 2 * 2, padded, l, width);
                double scale = GraphRun.maxAbs(expected.get(name));
                assertThat(GraphRun.maxDifference(real, expected.get(name)) / scale)
                    .as(kernel + " " + name)
                    .isLessThanOrEqualTo(signed(kernel) ? 1e-4 : name.equals("out") ? 1e-6 : 2e-6);
                assertThat(GraphRun.maxAbs(value)).isFinite();
              });
    }
  }

  /** Denominators near 0 magnify the last bit of a sum in another order. */
  private static boolean signed(Kernel kernel) {
    return switch (kernel) {
      case TRIGONOMETRIC, IDENTITY, GELU, TANH, COS, SIN -> true;
      default -> false;
    };
  }

  private static NpyArray padded(NpyArray x, int length, double fill) {
    long[] s = x.shape();
    double[] all = x.doubles();
    double[] result = new double[(int) (s[0] * s[1] * length * s[3])];
    Arrays.fill(result, fill);
    int row = (int) (s[2] * s[3]);
    for (int i = 0; i < s[0] * s[1]; i++) {
      System.arraycopy(all, i * row, result, (int) (i * length * s[3]), row);
    }
    return NpyArray.of(result, s[0], s[1], length, s[3]);
  }

  private static double[] unpadded(double[] x, int outer, int padded, int l, int width) {
    double[] result = new double[outer * l * width];
    for (int i = 0; i < outer; i++) {
      System.arraycopy(x, i * padded * width, result, i * l * width, l * width);
    }
    return result;
  }

  @ParameterizedTest
  @MethodSource("attentions")
  void withoutAnyKeyTheOutputIsZero(Kernel kernel, boolean causal) {
    assertZeroWithoutKeys(null, config(kernel, causal));
  }

  @Test
  void exactAttentionWithoutAnyKeyIsZero() {
    assertZeroWithoutKeys(new ExactAttention(false), config(Kernel.RELU, false));
    assertZeroWithoutKeys(new ExactAttention(true), config(Kernel.RELU, true));
  }

  private static void assertZeroWithoutKeys(Attention exact, FavorConfig config) {
    int l = 9;
    Map<String, NpyArray> arrays = inputs(config, 2, l, 1);
    double[] mask = new double[2 * l];
    Arrays.fill(mask, l + 3, 2 * l, 1);
    arrays.put("mask", NpyArray.of(mask, 2, l));
    try (var run = Inputs.run(TFloat32.class, exact, config, arrays)) {
      Map<String, double[]> results = run.run(arrays, arrays.get("g"));
      assertThat(GraphRun.maxAbs(Arrays.copyOf(results.get("out"), 2 * l * 6))).isZero();
      assertThat(GraphRun.maxAbs(Arrays.copyOf(results.get("dq"), 2 * l * D))).isZero();
      results.forEach(
          (name, x) -> assertThat(GraphRun.maxDifference(x, x)).as(name).isZero()); // no NaN
    }
  }

  @ParameterizedTest
  @MethodSource("attentions")
  void farKeysGiveNoNaN(Kernel kernel, boolean causal) {
    FavorConfig config = config(kernel, causal);
    Map<String, NpyArray> arrays = inputs(config, 1, 12, 40);
    if (kernel == Kernel.EXP || kernel == Kernel.SQUARE || kernel == Kernel.REQU) {
      return; // not bounded, and not meant to be
    }
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      run.run(arrays, arrays.get("g"))
          .forEach((name, x) -> assertThat(GraphRun.maxDifference(x, x)).as(name).isZero());
    }
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "FAVOR_PLUS_PLUS")
  void theChunkLengthIsOnlyASpeed(Kernel kernel) {
    FavorConfig config = config(kernel, true);
    Map<String, NpyArray> first = inputs(config, 2, 1, 1);
    try (var one = Inputs.run(TFloat64.class, null, config.toBuilder().chunk(1).build(), first);
        var some = Inputs.run(TFloat64.class, null, config.toBuilder().chunk(8).build(), first);
        var rule = Inputs.run(TFloat64.class, null, config.toBuilder().chunk(0).build(), first)) {
      for (int l : new int[] {1, 2, 7, 16, 17, 70}) { // one graph serves every length
        Map<String, NpyArray> arrays = inputs(config, 1 + l % 2, l, 1);
        double[] expected = one.value(arrays);
        double tolerance = 1e-9 * GraphRun.maxAbs(expected);
        assertThat(GraphRun.maxDifference(some.value(arrays), expected)).isLessThan(tolerance);
        assertThat(GraphRun.maxDifference(rule.value(arrays), expected)).isLessThan(tolerance);
      }
    }
  }

  @Test
  void manyChunksOfAKnownLengthAreTheSameSum() {
    FavorConfig config = config(Kernel.SOFTMAX, true).toBuilder().chunk(2).build();
    Map<String, NpyArray> arrays = inputs(config, 1, 301, 1); // 151 chunks in 3 groups
    double[] expected;
    try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
      expected = run.value(arrays);
    }
    Map<String, Shape> known = new LinkedHashMap<>();
    arrays.forEach((n, a) -> known.put(n, Shape.of(a.shape())));
    known.remove("g");
    try (var run =
        new GraphRun<>(
            TFloat64.class,
            known,
            List.of(),
            (tf, in) ->
                FavorAttention.of(config, in.get("P"))
                    .attend(tf, in.get("q"), in.get("k"), in.get("v"), null))) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(1e-12);
    }
  }

  @Test
  void anOverflowStaysInTheFuture() {
    FavorConfig config = config(Kernel.RELU, true).toBuilder().chunk(4).build();
    Map<String, NpyArray> arrays = inputs(config, 1, 20, 1);
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      double[] before = run.value(arrays);
      Map<String, NpyArray> changed = new LinkedHashMap<>(arrays);
      changed.put("v", scaledAt(arrays.get("v"), 9, 5e37));
      changed.put("k", scaledAt(arrays.get("k"), 9, 1e30));
      double[] after = run.value(changed);
      assertThat(largestEarlierChange(before, after, 20, 6, 9)).isZero();
      assertThat(largestEarlierChange(before, after, 20, 6, 20)).isInfinite(); // and is not hidden
    }
  }

  @Test
  void anyElementwiseFunctionMakesAMap() {
    FavorConfig config = config(Kernel.RELU, true);
    Map<String, NpyArray> arrays = inputs(config, 1, 9, 1);
    double[] expected;
    try (var run =
        Inputs.run(TFloat32.class, null, config.toBuilder().epsilon(0.5).build(), arrays)) {
      expected = run.value(arrays);
    }
    Map<String, Shape> shapes = new LinkedHashMap<>();
    List.of("q", "k", "v").forEach(n -> shapes.put(n, GraphRun.dynamic(arrays.get(n).shape())));
    try (var run =
        new GraphRun<>(
            TFloat32.class,
            shapes,
            List.of(),
            (tf, in) -> {
              UnaryOperator<Operand<TFloat32>> map =
                  x -> tf.math.add(tf.nn.relu(x), tf.constant(0.5f));
              FeatureMap custom = FeatureMap.custom(map, Convention.PERFORMER, null);
              return new FavorAttention(config, custom)
                  .attend(tf, in.get("q"), in.get("k"), in.get("v"), null);
            })) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(1e-6);
    }
  }

  @Test
  void narrowTypesAreWidenedInside() {
    FavorConfig config = config(Kernel.SOFTMAX, true);
    Map<String, NpyArray> arrays = inputs(config, 1, 300, 2);
    double[] expected;
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      expected = run.value(arrays);
    }
    assertNarrow(TBfloat16.class, config, arrays, expected, 0.03);
    assertNarrow(TFloat16.class, config, arrays, expected, 0.004);
  }

  /** Rounded inputs move the output by their rounding; sums of 300 keys in bfloat16 would more. */
  private static <N extends TFloating> void assertNarrow(
      Class<N> narrow,
      FavorConfig config,
      Map<String, NpyArray> arrays,
      double[] expected,
      double tolerance) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    arrays.forEach((n, a) -> shapes.put(n, GraphRun.dynamic(a.shape())));
    shapes.remove("g");
    try (var run =
        new GraphRun<>(
            TFloat32.class,
            shapes,
            List.of("q", "k", "v"),
            (tf, in) -> {
              var attention = FavorAttention.of(config, in.get("P"));
              var out =
                  attention.attend(
                      tf,
                      tf.dtypes.cast(in.get("q"), narrow),
                      tf.dtypes.cast(in.get("k"), narrow),
                      tf.dtypes.cast(in.get("v"), narrow),
                      null);
              assertThat(out.type()).isEqualTo(narrow);
              return tf.dtypes.cast(out, TFloat32.class);
            })) {
      Map<String, double[]> results = run.run(arrays, arrays.get("g"));
      double scale = GraphRun.maxAbs(expected);
      assertThat(GraphRun.maxDifference(results.get("out"), expected) / scale)
          .isCloseTo(0, within(tolerance));
      results.forEach((n, x) -> assertThat(GraphRun.maxDifference(x, x)).as(n).isZero());
    }
  }
}
