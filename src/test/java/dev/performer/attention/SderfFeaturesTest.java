package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.attention.Attention.Projected;
import dev.performer.data.NpyArray;
import dev.performer.graph.Algebra;
import dev.performer.graph.Tensors;
import dev.performer.testing.GraphRun;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/** Features of heads that have an A, a U and centres of their own, whatever these are. */
class SderfFeaturesTest {
  private static final int H = 2;
  private static final int D = 6;
  private static final int V = 3;

  /** The variables of a layer with random numbers; A reaches from −0.57 to 0.03. */
  private record Heads(double[] amounts, double[] basis, double[] queryCentre, double[] keyCentre) {
    static Heads random(long seed) {
      Random random = new Random(seed);
      double[] basis = new double[H * D * D];
      for (int i = 0; i < H * D; i++) {
        basis[i * D + i % D] = 1;
      }
      for (int turn = 0; turn < 40; turn++) {
        turn(basis, random.nextInt(H), random.nextInt(D), random.nextInt(D), random.nextDouble());
      }
      return new Heads(
          random.doubles(H * D).map(x -> 0.03 - 0.6 * x).toArray(),
          basis,
          random.doubles(H * D).map(x -> x - 0.5).toArray(),
          random.doubles(H * D).map(x -> x - 0.5).toArray());
    }

    /** Two columns of a head's basis by an angle. */
    private static void turn(double[] basis, int h, int i, int j, double angle) {
      for (int row = h * D * D; i != j && row < (h + 1) * D * D; row += D) {
        double x = basis[row + i];
        double y = basis[row + j];
        basis[row + i] = Math.cos(angle) * x - Math.sin(angle) * y;
        basis[row + j] = Math.sin(angle) * x + Math.cos(angle) * y;
      }
    }

    <T extends TFloating> Calibration in(Ops tf, Operand<T> projection) {
      Class<T> type = projection.type();
      Operand<T> a = constant(tf, type, amounts, H, D);
      var directions =
          Calibration.directions(tf, projection, a, constant(tf, type, basis, H, D, D));
      return new Calibration(
          a,
          constant(tf, type, queryCentre, H, D),
          constant(tf, type, keyCentre, H, D),
          directions);
    }

    private static <T extends TFloating> Operand<T> constant(
        Ops tf, Class<T> type, double[] values, long... shape) {
      return tf.dtypes.cast(tf.reshape(tf.constant(values), tf.constant(shape)), type);
    }

    /** {@code log E}'s terms: of one row ω, as the formula is read. */
    double term(int h, double[] omega, double[] q, double[] k, double scale) {
      double sum = 0;
      double squares = 0;
      double central = 0;
      for (int i = 0; i < D; i++) {
        double a = amounts[h * D + i];
        double point = 0; // (Uᵀ(q̃ + k̃))_i
        for (int c = 0; c < D; c++) {
          double qc = scale * q[c] - queryCentre[h * D + c];
          double kc = scale * k[c] - keyCentre[h * D + c];
          point += basis[(h * D + c) * D + i] * (qc + kc);
        }
        sum += 2 * a * omega[i] * omega[i] + Math.sqrt(1 - 4 * a) * omega[i] * point;
      }
      for (int c = 0; c < D; c++) {
        double qc = scale * q[c] - queryCentre[h * D + c];
        double kc = scale * k[c] - keyCentre[h * D + c];
        squares += (qc * qc + kc * kc) / 2;
        central += queryCentre[h * D + c] * kc;
      }
      return sum - squares + central;
    }

    double logDeterminant(int h) {
      return Arrays.stream(amounts, h * D, h * D + D).map(a -> Math.log(1 - 4 * a)).sum();
    }
  }

  private static FavorConfig config(int features, boolean causal) {
    return FavorConfig.builder()
        .kernel(Kernel.SDERF)
        .features(features)
        .causal(causal)
        .chunk(4)
        .build();
  }

  private static <T extends TFloating> GraphRun<T> run(
      Class<T> type, FavorConfig config, Heads heads, Map<String, NpyArray> arrays) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    arrays.forEach((n, x) -> shapes.put(n, GraphRun.dynamic(x.shape())));
    shapes.remove("g");
    return new GraphRun<>(
        type,
        shapes,
        List.of("q", "k", "v"),
        (tf, in) -> {
          var attention = FavorAttention.of(config, in.get("P"), heads.in(tf, in.get("P")));
          return attention.attend(tf, in.get("q"), in.get("k"), in.get("v"), in.get("mask"));
        });
  }

  private static Map<String, NpyArray> inputs(FavorConfig config, int l, boolean masked) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(3, 2, H, l, l, D, V, 1.2));
    arrays.put("P", Inputs.projection(config, D, 5));
    if (masked) {
      double[] mask = new double[2 * l];
      Arrays.fill(mask, 2, l - 2, 1);
      arrays.put("mask", NpyArray.of(mask, 2, l));
    }
    return arrays;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void attendsAsItsFormula(boolean causal) {
    Heads heads = Heads.random(1);
    FavorConfig config = config(12, causal);
    int l = 11;
    for (boolean masked : new boolean[] {false, true}) {
      var arrays = inputs(config, l, masked);
      double[] expected = naive(heads, arrays, causal, l);
      try (var run = run(TFloat64.class, config, heads, arrays)) {
        assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(1e-11);
      }
      try (var run = run(TFloat32.class, config, heads, arrays)) {
        assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(2e-5);
      }
    }
  }

  private static double[] naive(Heads heads, Map<String, NpyArray> arrays, boolean causal, int l) {
    double[][] p = TwinTest.mirrored(Inputs.matrix(arrays.get("P")));
    double[] all = new double[2 * H * l * V];
    for (int b = 0; b < 2; b++) {
      double[] mask =
          arrays.containsKey("mask")
              ? Arrays.copyOfRange(arrays.get("mask").doubles(), b * l, b * l + l)
              : null;
      for (int h = 0; h < H; h++) {
        int head = h;
        double[][] q = Inputs.head(arrays.get("q"), b, h);
        double[][] k = Inputs.head(arrays.get("k"), b, h);
        double[][] v = Inputs.head(arrays.get("v"), b, h);
        double[][] out =
            NaiveAttention.inLogs(
                l,
                v,
                causal,
                mask,
                (i, j) ->
                    NaiveAttention.logSumExp(
                        Arrays.stream(p)
                            .mapToDouble(w -> heads.term(head, w, q[i], k[j], Math.pow(D, -0.25)))
                            .toArray()));
        System.arraycopy(Inputs.flatten(out), 0, all, (b * H + h) * l * V, l * V);
      }
    }
    return all;
  }

  /** {@code √det(1−4A) E[f(q̃) f(k̃)] exp(c_q·k̃) = exp(q'·(k'−c_k))}. */
  @Test
  void estimatesTheSoftmaxKernelWithoutABias() {
    Heads heads = Heads.random(4);
    Random random = new Random(6);
    double scale = Math.pow(D, -0.25);
    int draws = 400_000;
    double[] q = random.doubles(D).map(x -> x - 0.5).toArray();
    double[] k = random.doubles(D).map(x -> x - 0.5).toArray();
    double sum = 0;
    for (int n = 0; n < draws; n++) {
      double[] omega = new double[D];
      Arrays.setAll(omega, i -> random.nextGaussian());
      sum += Math.exp(heads.term(1, omega, q, k, scale) + heads.logDeterminant(1) / 2);
    }
    double expected = 0; // q'·(k'−c_k)
    for (int c = 0; c < D; c++) {
      expected += scale * q[c] * (scale * k[c] - heads.keyCentre[D + c]);
    }
    assertThat(sum / draws / Math.exp(expected)).isCloseTo(1, within(0.02));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void manyFeaturesAttendAsSoftmaxDoes(boolean causal) {
    FavorConfig config = config(1 << 15, causal);
    var arrays = inputs(config, 9, true);
    arrays.replaceAll((n, x) -> n.equals("q") || n.equals("k") ? halved(x) : x);
    double[] exact;
    try (var run = Inputs.run(TFloat64.class, new ExactAttention(causal), null, arrays)) {
      exact = run.value(arrays);
    }
    try (var run = run(TFloat64.class, config, Heads.random(2), arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), exact)).isLessThan(0.05);
    }
  }

  /** Features give softmax's own weights but for a factor of the query that is known. */
  @Test
  void theScaleOfAQueryIsKnown() {
    FavorConfig config = config(1 << 16, false);
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(8, 1, H, 4, 4, D, V, 0.5));
    arrays.put("P", Inputs.projection(config, D, 5));
    double scale = 1 / Math.sqrt(D);
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Operand<TFloat32> p = constant(tf, arrays.get("P"));
      var q = constant(tf, arrays.get("q"));
      var k = constant(tf, arrays.get("k"));
      var map = FeatureMap.of(config, p, Heads.random(9).in(tf, p));
      var of = map.map(tf, q, k, null);
      var a = Algebra.of(tf, q);
      var products = a.matMulTransposed(of.queries(), of.keys());
      var logs = tf.math.sub(tf.math.log(products), of.logScale().get());
      var error = tf.math.sub(logs, a.times(a.matMulTransposed(q, k), scale));
      try (Result result = session.runner().fetch(error).run()) {
        assertThat(GraphRun.maxAbs(widened(Tensors.floats(result.get(0))))).isLessThan(0.05);
      }
    }
  }

  private static double[] widened(float[] x) {
    return NpyArray.of(x, x.length).doubles();
  }

  private static NpyArray halved(NpyArray x) {
    return NpyArray.of(Arrays.stream(x.doubles()).map(y -> y / 2).toArray(), x.shape());
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void gradientsAgreeWithFiniteDifferences(boolean causal) {
    Heads heads = Heads.random(7);
    FavorConfig config = config(5, causal);
    var arrays = inputs(config, 6, true);
    try (var run = run(TFloat64.class, config, heads, arrays)) {
      Map<String, double[]> analytic = run.run(arrays, arrays.get("g"));
      for (String name : List.of("q", "k", "v")) {
        double[] x = arrays.get(name).doubles();
        for (int i = 0; i < x.length; i += 5) {
          double slope = (loss(run, arrays, name, i, 1e-4) - loss(run, arrays, name, i, -1e-4));
          assertThat(analytic.get("d" + name)[i]).isCloseTo(slope / 2e-4, within(1e-6));
        }
      }
    }
  }

  private static double loss(
      GraphRun<TFloat64> run, Map<String, NpyArray> arrays, String name, int i, double step) {
    double[] x = arrays.get(name).doubles();
    x[i] += step;
    Map<String, NpyArray> moved = new LinkedHashMap<>(arrays);
    moved.put(name, NpyArray.of(x, arrays.get(name).shape()));
    return NaiveAttention.dot(run.value(moved), arrays.get("g").doubles());
  }

  @Test
  void onePositionAtATimeGivesTheSame() {
    Heads heads = Heads.random(3);
    FavorConfig config = config(16, true);
    int l = 12;
    var arrays = inputs(config, l, false);
    double[] parallel;
    try (var run = run(TFloat32.class, config, heads, arrays)) {
      parallel = run.value(arrays);
    }
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Operand<TFloat32> p = constant(tf, arrays.get("P"));
      var recurrent = FavorAttention.of(config, p, heads.in(tf, p)).recurrent(H, D, V);
      var mask = tf.fill(tf.array(2, 5), tf.constant(1f));
      var advance = recurrent.extend(tf, null, piece(tf, arrays, 0, 5), mask);
      for (int t = 5; t < l; t++) {
        advance = recurrent.step(tf, advance.states(), piece(tf, arrays, t, 1));
      }
      try (Result result = session.runner().fetch(advance.output()).run()) {
        float[] last = Tensors.floats(result.get(0)); // [2, H, 1, V]
        for (int i = 0; i < last.length; i++) {
          assertThat((double) last[i])
              .isCloseTo(parallel[(i / V * l + l - 1) * V + i % V], within(1e-5));
        }
      }
    }
  }

  private static Projected piece(Ops tf, Map<String, NpyArray> arrays, int from, int count) {
    List<Operand<TFloat32>> parts =
        List.of("q", "k", "v").stream()
            .<Operand<TFloat32>>map(
                name ->
                    tf.slice(
                        constant(tf, arrays.get(name)),
                        tf.array(0, 0, from, 0),
                        tf.array(-1, -1, count, -1)))
            .toList();
    return new Projected(parts.get(0), parts.get(1), parts.get(2));
  }

  private static Operand<TFloat32> constant(Ops tf, NpyArray x) {
    return tf.reshape(tf.constant(x.floats()), tf.constant(x.shape()));
  }

  @Test
  void belongsToOurConventionOnly() {
    assertThatThrownBy(() -> FavorConfig.of(Kernel.SDERF).withConvention(Convention.GOOGLE_JAX))
        .isInstanceOf(PerformerException.class)
        .hasMessage("kernel sderf has no form in convention google-jax; use performer");
    assertThatThrownBy(() -> FavorConfig.builder().kernel(Kernel.SDERF).features(0).build())
        .hasMessageContaining("needs a projection");
  }
}
