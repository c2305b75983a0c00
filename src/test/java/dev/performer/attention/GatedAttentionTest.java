package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.LinearAttention.Denominator;
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
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/** A mean of values that fade by gates: against the formula as it is read. */
class GatedAttentionTest {
  private static final int B = 2;
  private static final int H = 2;
  private static final int R = 6;
  private static final int V = 3;
  private static final Denominator PLAIN = new Denominator.ZeroBelow(1e-30);

  /** L and C; more than 32 chunks are groups of chunks, more than 1,024 groups of groups. */
  private static final int[][] SIZES = {{1, 4}, {23, 4}, {37, 16}, {64, 64}, {150, 1}, {1200, 1}};

  /** All sizes: masked or not, after an earlier state or not, of known sizes or not. */
  static Stream<Arguments> cases() {
    return IntStream.range(0, 2 * SIZES.length)
        .mapToObj(
            i -> {
              int[] size = SIZES[i / 2];
              return Arguments.of(size[0], size[1], i % 2 > 0, i % 4 < 2, (i + i / 2) % 3 > 0);
            });
  }

  @ParameterizedTest
  @MethodSource("cases")
  void isItsFormula(int length, int chunk, boolean masked, boolean after, boolean known) {
    var arrays = arrays(length, masked, after, 7);
    double[] expected = naive(arrays);
    double scale = GraphRun.maxAbs(expected);
    NpyArray g = Inputs.normal(new Random(3), 1, B, H, length, V);
    Map<String, double[]> exact;
    try (var run = run(TFloat64.class, arrays, chunk, known)) {
      exact = run.run(arrays, g);
      assertThat(GraphRun.maxDifference(exact.get("out"), expected) / scale).isLessThan(1e-11);
    }
    try (var run = run(TFloat32.class, arrays, chunk, known)) {
      Map<String, double[]> narrow = run.run(arrays, g); // gradients by hand
      assertThat(GraphRun.maxDifference(narrow.get("out"), expected) / scale).isLessThan(2e-6);
      close(narrow, exact, differentiated(arrays));
    }
  }

  private static void close(
      Map<String, double[]> narrow, Map<String, double[]> exact, List<String> names) {
    for (String name : names) {
      double[] all = exact.get("d" + name);
      double difference = GraphRun.maxDifference(narrow.get("d" + name), all);
      assertThat(difference / GraphRun.maxAbs(all)).as(name).isLessThan(1e-5);
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void gradientsAreDifferences(
      int length, int chunk, boolean masked, boolean after, boolean known) {
    var arrays = arrays(length, masked, after, 8);
    arrays.put("logs", NpyArray.of(moderate(length), B, H, length, 1)); // where slopes are not 0
    NpyArray g = Inputs.normal(new Random(3), 1, B, H, length, V);
    Random random = new Random(4);
    Map<String, double[]> exact;
    try (var run = run(TFloat64.class, arrays, chunk, known)) {
      exact = run.run(arrays, g);
      for (String name : differentiated(arrays)) {
        NpyArray x = arrays.get(name);
        double[] direction = random.doubles(x.doubles().length, -1, 1).toArray();
        double slope = NaiveAttention.dot(exact.get("d" + name), direction);
        double numeric =
            (8 * moved(run, arrays, g, name, direction, 1e-4)
                    - moved(run, arrays, g, name, direction, 2e-4))
                / 12e-4;
        double scale = Math.max(1e-2, Math.abs(numeric));
        assertThat(Math.abs(slope - numeric) / scale).as(name).isLessThan(1e-7);
      }
    }
    try (var run = run(TFloat32.class, arrays, chunk, known)) { // by hand
      close(run.run(arrays, g), exact, differentiated(arrays));
    }
  }

  private static double moved(
      GraphRun<TFloat64> run,
      Map<String, NpyArray> arrays,
      NpyArray g,
      String name,
      double[] direction,
      double by) {
    double difference = 0;
    for (int sign : new int[] {1, -1}) {
      double[] x = arrays.get(name).doubles().clone();
      Arrays.setAll(x, i -> x[i] + sign * by * direction[i]);
      Map<String, NpyArray> moved = new LinkedHashMap<>(arrays);
      moved.put(name, NpyArray.of(x, arrays.get(name).shape()));
      difference += sign * NaiveAttention.dot(run.value(moved), g.doubles());
    }
    return difference;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8, 64})
  void gatesOfOneChangeNothing(int chunk) {
    var arrays = arrays(70, true, true, 5);
    arrays.put("logs", NpyArray.of(new double[B * H * 70], B, H, 70, 1));
    Map<String, NpyArray> without = new LinkedHashMap<>(arrays);
    without.remove("logs");
    NpyArray g = Inputs.normal(new Random(3), 1, B, H, 70, V);
    try (var gated = run(TFloat32.class, arrays, chunk, false);
        var plain = run(TFloat32.class, without, chunk, false)) {
      Map<String, double[]> ofGated = gated.run(arrays, g);
      plain
          .run(without, g)
          .forEach(
              (name, x) -> {
                double difference = GraphRun.maxDifference(ofGated.get(name), x);
                assertThat(difference / GraphRun.maxAbs(x)).as(name).isLessThan(1e-6);
              });
    }
  }

  /** Also at minus infinity, and with gradients that are numbers. */
  @ParameterizedTest
  @ValueSource(doubles = {-90, -1e6, -1e30, Double.NEGATIVE_INFINITY})
  void gatesOfZeroLeaveTheOwnValue(double log) {
    var arrays = arrays(50, false, true, 5);
    double[] logs = new double[B * H * 50];
    Arrays.fill(logs, log);
    arrays.put("logs", NpyArray.of(logs, B, H, 50, 1));
    try (var run = run(TFloat32.class, arrays, 8, true)) {
      Map<String, double[]> all = run.run(arrays, Inputs.normal(new Random(3), 1, B, H, 50, V));
      assertThat(GraphRun.maxDifference(all.get("out"), arrays.get("v").doubles()))
          .isLessThan(1e-5);
      all.forEach((name, x) -> assertThat(x).as(name).doesNotContain(Double.NaN));
    }
  }

  /** A sum of gates that is large does not round what stands behind it. */
  @Test
  void whatFollowsAGateNearZeroIsExact() {
    var arrays = arrays(200, false, false, 5);
    double[] logs = new double[B * H * 200];
    Arrays.setAll(logs, i -> i % 50 < 25 ? -700.3 : -0.0137);
    arrays.put("logs", NpyArray.of(logs, B, H, 200, 1));
    double[] expected = naive(arrays);
    try (var run = run(TFloat32.class, arrays, 64, true)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(5e-6);
    }
  }

  /** On the left, in the middle, at the end: whatever gates stand there. */
  @Test
  void paddingChangesNothing() {
    int length = 40;
    var arrays = arrays(length, false, true, 5);
    double[] keep = new double[B * length];
    Arrays.setAll(keep, i -> isPadding(i % length) ? 0 : 1);
    arrays.put("mask", NpyArray.of(keep, B, length));
    Map<String, NpyArray> real = new LinkedHashMap<>();
    arrays.forEach(
        (name, x) -> {
          if (x.shape().length == 4) {
            real.put(name, name.equals("earlier") ? x : kept(x));
          }
        });
    try (var padded = run(TFloat32.class, arrays, 8, false);
        var alone = run(TFloat32.class, real, 8, false)) {
      double[] out = kept(NpyArray.of(padded.value(arrays), B, H, length, V)).doubles();
      assertThat(GraphRun.maxDifference(out, alone.value(real))).isLessThan(2e-6);
    }
  }

  private static boolean isPadding(int position) {
    return position < 5 || position >= 12 && position < 21 || position >= 37;
  }

  private static NpyArray kept(NpyArray x) {
    long[] s = x.shape();
    int width = (int) s[3];
    List<Double> all = new ArrayList<>();
    for (int i = 0; i < x.doubles().length; i++) {
      if (!isPadding((int) (i / width % s[2]))) {
        all.add(x.doubles()[i]);
      }
    }
    double[] values = all.stream().mapToDouble(d -> d).toArray();
    return NpyArray.of(values, s[0], s[1], values.length / (s[0] * s[1] * width), width);
  }

  @Test
  void nothingLaterReachesAnOutput() {
    int length = 60;
    int cut = 33;
    var arrays = arrays(length, false, true, 5);
    Map<String, NpyArray> changed = new LinkedHashMap<>(arrays);
    for (String name : List.of("k", "v", "logs")) {
      NpyArray x = arrays.get(name);
      double[] values = x.doubles().clone();
      int width = (int) x.shape()[3];
      Arrays.setAll(values, i -> i / width % length >= cut ? 50 * values[i] : values[i]);
      changed.put(name, NpyArray.of(values, x.shape()));
    }
    try (var run = run(TFloat32.class, arrays, 16, false)) {
      double[] before = run.value(arrays);
      double[] after = run.value(changed);
      for (int i = 0; i < before.length; i++) {
        if (i / V % length < cut) {
          assertThat(after[i]).isEqualTo(before[i]);
        }
      }
    }
  }

  @Test
  void whatDoesNotGoTogetherIsRefused() {
    var keys = FavorConfig.builder().kernel(Kernel.HYPERBOLIC).gate(Gate.TOKEN);
    refused(keys, "causal");
    keys.causal(true);
    refused(keys.build().toBuilder().window(4), "window");
    refused(keys.build().toBuilder().convention(Convention.GOOGLE_JAX), "google-jax");
    FavorConfig gated = keys.build();
    assertThatThrownBy(() -> gated.withCausal(false)).isInstanceOf(PerformerException.class);
    try (var graph = new org.tensorflow.Graph()) {
      Ops tf = Ops.create(graph);
      var x = tf.constant(new float[1][1][4][8]);
      var attention = FavorAttention.of(gated, tf.constant(new float[4][8]));
      assertThatThrownBy(() -> attention.attend(tf, x, x, x, null))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("gate: token");
    }
  }

  private static void refused(FavorKeys keys, String why) {
    assertThatThrownBy(keys::build)
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("gate")
        .hasMessageContaining(why);
  }

  @Test
  void headsBeginWithHalfLivesFarApart() {
    float[] logits = Gate.logits(4);
    double[] halfLives = new double[4];
    Arrays.setAll(halfLives, h -> Math.log(0.5) / -Math.log1p(Math.exp(-logits[h])));
    for (int h = 1; h < 4; h++) {
      assertThat(halfLives[h] / halfLives[h - 1]).isBetween(3.3, 3.5);
    }
    assertThat(halfLives[0]).isBetween(40.0, 41.0);
  }

  private static List<String> differentiated(Map<String, NpyArray> arrays) {
    return Stream.of("q", "k", "v", "logs", "earlier").filter(arrays::containsKey).toList();
  }

  private static <T extends TFloating> GraphRun<T> run(
      Class<T> type, Map<String, NpyArray> arrays, int chunk, boolean known) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    arrays.forEach(
        (name, x) ->
            shapes.put(
                name,
                known
                    ? Shape.of(x.shape())
                    : name.equals("earlier")
                        ? Shape.of(-1, -1, V + 1, R)
                        : name.equals("mask") ? Shape.of(-1, -1) : GraphRun.dynamic(x.shape())));
    return new GraphRun<>(
        type,
        shapes,
        differentiated(arrays),
        (tf, in) ->
            LinearAttention.causal(
                tf,
                in.get("q"),
                in.get("k"),
                in.get("v"),
                in.get("mask"),
                in.get("logs"),
                PLAIN,
                chunk,
                in.get("earlier")));
  }

  /** Positive features, gates of all kinds, padding everywhere. */
  private static Map<String, NpyArray> arrays(
      int length, boolean masked, boolean after, long seed) {
    Random random = new Random(seed);
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put("q", positive(random, B, H, length, R));
    arrays.put("k", positive(random, B, H, length, R));
    arrays.put("v", Inputs.normal(random, 1, B, H, length, V));
    double[] logs = new double[B * H * length];
    double[] kinds = {0, -1e-4, -0.01, -0.1, -1, -8, -60, -400};
    // A head near 1 throughout, and others with gates of any size.
    Arrays.setAll(
        logs,
        i ->
            i / length == 1
                ? -1e-3 * random.nextDouble()
                : kinds[random.nextInt(random.nextInt(10) > 0 ? 5 : 8)] * random.nextDouble());
    arrays.put("logs", NpyArray.of(logs, B, H, length, 1));
    if (masked) {
      double[] keep = new double[B * length];
      Arrays.setAll(keep, i -> random.nextInt(4) > 0 ? 1 : 0);
      arrays.put("mask", NpyArray.of(keep, B, length));
    }
    if (after) {
      NpyArray earlier = positive(random, B, H, V + 1, R);
      arrays.put("earlier", earlier);
    }
    return arrays;
  }

  private static double[] moderate(int length) {
    Random random = new Random(length);
    return random.doubles(B * H * length, -0.3, -0.001).toArray();
  }

  private static NpyArray positive(Random random, long... shape) {
    NpyArray normal = Inputs.normal(random, 0.7, shape);
    double[] x = Arrays.stream(normal.doubles()).map(Math::exp).toArray();
    Arrays.setAll(x, i -> (float) x[i]);
    return NpyArray.of(x, shape);
  }

  /** Σ over keys of the product of all gates between, and of the earlier state. */
  private static double[] naive(Map<String, NpyArray> arrays) {
    int length = (int) arrays.get("q").shape()[2];
    double[] out = new double[B * H * length * V];
    double[] keep = arrays.containsKey("mask") ? arrays.get("mask").doubles() : null;
    for (int b = 0; b < B; b++) {
      for (int h = 0; h < H; h++) {
        double[][] q = Inputs.head(arrays.get("q"), b, h);
        double[][] k = Inputs.head(arrays.get("k"), b, h);
        double[][] v = Inputs.head(arrays.get("v"), b, h);
        double[][] logs = Inputs.head(arrays.get("logs"), b, h);
        for (int i = 0; i < length; i++) {
          double left = 1;
          double total = 0;
          double[] sum = new double[V];
          for (int j = i; j >= 0; j--) {
            boolean counts = keep == null || keep[b * length + j] > 0;
            double weight = counts ? left * NaiveAttention.dot(q[i], k[j]) : 0;
            total += weight;
            for (int c = 0; c < V; c++) {
              sum[c] += weight * v[j][c];
            }
            left *= counts ? Math.exp(logs[j][0]) : 1;
          }
          if (arrays.containsKey("earlier")) {
            double[][] state = Inputs.head(arrays.get("earlier"), b, h);
            total += left * NaiveAttention.dot(q[i], state[V]);
            for (int c = 0; c < V; c++) {
              sum[c] += left * NaiveAttention.dot(q[i], state[c]);
            }
          }
          for (int c = 0; c < V; c++) {
            out[((b * H + h) * length + i) * V + c] = total == 0 ? 0 : sum[c] / total;
          }
        }
      }
    }
    return out;
  }
}
