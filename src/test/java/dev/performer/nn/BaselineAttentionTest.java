package dev.performer.nn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.Inputs;
import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/** Reformer's and Linformer's attention against their formulas, exact softmax and properties. */
class BaselineAttentionTest {
  private static final int D = 6;
  private static final int V = 5;

  /** Attention over {@code q}, {@code k}, {@code v}, and P, or E and F, of {@code arrays}. */
  private static <T extends TFloating> GraphRun<T> run(
      Class<T> type, ReformerConfig config, boolean causal, Map<String, NpyArray> arrays) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    for (String name : List.of("q", "k", "v", "P", "E", "F")) {
      if (arrays.containsKey(name)) {
        shapes.put(name, GraphRun.dynamic(arrays.get(name).shape()));
      }
    }
    if (arrays.containsKey("mask")) {
      shapes.put("mask", Shape.of(-1, -1));
    }
    List<String> by = config == null ? List.of("q", "k", "v", "E", "F") : List.of("q", "v");
    return new GraphRun<>(
        type,
        shapes,
        by,
        (tf, in) -> {
          Attention attention =
              config == null
                  ? new LinformerAttention(in.get("E"), in.get("F"))
                  : new ReformerAttention(config, causal, in.get("P"));
          return attention.attend(tf, in.get("q"), in.get("k"), in.get("v"), in.get("mask"));
        });
  }

  private static Map<String, NpyArray> reformerInputs(ReformerConfig config, int b, int l) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(3, b, 2, l, l, D, V, 1.5));
    config.draw(D).ifPresent(p -> arrays.put("P", NpyArray.of(p.values(), p.shape())));
    return arrays;
  }

  private static Map<String, NpyArray> linformerInputs(int b, int l, int longest, int rank) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(5, b, 2, l, l, D, V, 1.5));
    arrays.put("E", Inputs.normal(new Random(1), 0.5, rank, longest));
    arrays.put("F", Inputs.normal(new Random(2), 0.5, rank, longest));
    return arrays;
  }

  @ParameterizedTest
  @CsvSource({
    "1, 3, 1, false", "1, 3, 1, true", "2, 20, 1, false", "4, 3, 1, false", "4, 3, 1, true",
    "6, 2, 3, false", "6, 2, 3, true", "2, 4, 2, true", "4, 1, 2, false", "8, 5, 4, true"
  })
  void reformerIsSoftmaxOverTheKeysThatItsRoundsFind(
      int buckets, int chunk, int rounds, boolean causal) {
    ReformerConfig config = new ReformerConfig(buckets, chunk, rounds, 7);
    for (int l : new int[] {1, 11, 12}) {
      for (boolean masked : new boolean[] {false, true}) {
        Map<String, NpyArray> arrays = reformerInputs(config, 2, l);
        boolean[][] real = real(2, l, masked && l > 4);
        if (masked) {
          arrays.put("mask", mask(real));
        }
        double[] expected = naive(config, causal, arrays, real);
        try (var run = run(TFloat64.class, config, causal, arrays)) {
          assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(1e-11);
        }
        if (l == 12) {
          try (var run = run(TFloat32.class, config, causal, arrays)) {
            assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(2e-5);
          }
        }
      }
    }
  }

  /** The second row ends in padding, and the first has a gap. */
  private static boolean[][] real(int b, int l, boolean masked) {
    boolean[][] real = new boolean[b][l];
    for (int i = 0; i < b * l; i++) {
      real[i / l][i % l] = !masked || (i / l == 0 ? i % l != 2 : i % l < l - 4);
    }
    return real;
  }

  private static NpyArray mask(boolean[][] real) {
    double[] mask = new double[real.length * real[0].length];
    Arrays.setAll(mask, i -> real[i / real[0].length][i % real[0].length] ? 1 : 0);
    return NpyArray.of(mask, real.length, real[0].length);
  }

  /** By sets of keys: no sorting of tensors, no chunks, no rounds to be joined. */
  private static double[] naive(
      ReformerConfig config, boolean causal, Map<String, NpyArray> arrays, boolean[][] real) {
    List<double[]> out = new ArrayList<>();
    for (int b = 0; b < real.length; b++) {
      for (int h = 0; h < 2; h++) {
        double[][] q = Inputs.head(arrays.get("q"), b, h);
        double[][] v = Inputs.head(arrays.get("v"), b, h);
        boolean[][] found = new boolean[q.length][q.length];
        for (int round = 0; round < config.rounds(); round++) {
          find(config, causal, arrays.get("P"), round, q, real[b], found);
        }
        for (int i = 0; i < q.length; i++) {
          out.add(softmax(q, v, i, found[i]));
        }
      }
    }
    return Inputs.flatten(out.toArray(double[][]::new));
  }

  private static void find(
      ReformerConfig config,
      boolean causal,
      NpyArray p,
      int round,
      double[][] q,
      boolean[] real,
      boolean[][] found) {
    int[] bucket = new int[q.length];
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < q.length; i++) {
      bucket[i] = p == null ? 0 : bucket(config.buckets() / 2, Inputs.matrix(p), round, q[i]);
      if (real[i]) {
        order.add(i);
      }
    }
    order.sort((i, j) -> bucket[i] == bucket[j] ? i - j : bucket[i] - bucket[j]);
    int c = config.chunk();
    for (int a = 0; a < order.size(); a++) {
      for (int b = 0; b < order.size(); b++) {
        int back = causal ? a - b : a / c - b / c;
        boolean near = back >= 0 && back <= (causal ? c : 1);
        int i = order.get(a);
        int j = order.get(b);
        found[i][j] |= near && bucket[i] == bucket[j];
      }
    }
  }

  private static int bucket(int half, double[][] p, int round, double[] q) {
    int best = 0;
    double most = Double.NEGATIVE_INFINITY;
    for (int n = 0; n < 2 * half; n++) {
      double along = (n < half ? 1 : -1) * dot(p[round * half + n % half], q);
      if (along > most) {
        most = along;
        best = n;
      }
    }
    return best;
  }

  private static double[] softmax(double[][] q, double[][] v, int i, boolean[] found) {
    boolean alone = true;
    for (int j = 0; j < q.length; j++) {
      alone &= j == i || !found[j];
    }
    double total = 0;
    double[] out = new double[V];
    for (int j = 0; j < q.length; j++) {
      if (found[j] && (alone || j != i)) {
        double weight = Math.exp(dot(q[i], q[j]) / Math.sqrt(dot(q[j], q[j]) + 1e-6 * D));
        total += weight;
        for (int x = 0; x < V; x++) {
          out[x] += weight * v[j][x];
        }
      }
    }
    double sum = total;
    Arrays.setAll(out, x -> sum == 0 ? 0 : out[x] / sum);
    return out;
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void reformerWithOneChunkIsExactAttentionWithoutItself(boolean causal) {
    int l = 9;
    ReformerConfig config = new ReformerConfig(1, l, 2, 0);
    Map<String, NpyArray> arrays = reformerInputs(config, 1, l);
    double[] q = arrays.get("q").doubles();
    double[] keys = q.clone();
    for (int row = 0; row < q.length / D; row++) {
      double[] own = Arrays.copyOfRange(q, row * D, row * D + D);
      double length = Math.sqrt(dot(own, own) + 1e-6 * D);
      for (int i = 0; i < D; i++) {
        keys[row * D + i] *= Math.sqrt(D) / length; // exact attention divides by √D
      }
    }
    arrays.put("k", NpyArray.of(keys, arrays.get("q").shape()));
    Map<String, Shape> shapes = new LinkedHashMap<>();
    for (String name : List.of("q", "k")) {
      shapes.put(name, GraphRun.dynamic(arrays.get(name).shape()));
    }
    double[] weights;
    try (var exact =
        new GraphRun<>(
            TFloat64.class,
            shapes,
            List.of(),
            (tf, in) -> new ExactAttention(causal).weights(tf, in.get("q"), in.get("k"), null))) {
      weights = exact.value(arrays);
    }
    double[] v = arrays.get("v").doubles();
    double[] expected = new double[2 * l * V];
    for (int row = 0; row < 2 * l; row++) {
      int i = row % l;
      double self = weights[row * l + i];
      for (int x = 0; x < V; x++) {
        double sum = self > 1 - 1e-12 ? v[row * V + x] : 0;
        for (int j = 0; j < l && self <= 1 - 1e-12; j++) {
          double weight = j == i ? 0 : weights[row * l + j] / (1 - self);
          sum += weight * v[(row - i + j) * V + x];
        }
        expected[row * V + x] = sum;
      }
    }
    try (var run = run(TFloat64.class, config, causal, arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(1e-12);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void nothingOfTheFutureReachesReformersOutputs(int rounds) {
    int l = 23;
    ReformerConfig config = new ReformerConfig(4, 3, rounds, 2);
    Map<String, NpyArray> arrays = reformerInputs(config, 1, l);
    try (var run = run(TFloat32.class, config, true, arrays)) {
      double[] before = run.value(arrays);
      for (int position = 1; position < l; position++) {
        for (double factor : new double[] {-1, 0, 100}) {
          Map<String, NpyArray> changed = new LinkedHashMap<>(arrays);
          changed.put("q", scaledAt(arrays.get("q"), position, factor));
          changed.put("v", scaledAt(arrays.get("v"), position, 3));
          double[] after = run.value(changed);
          for (int i = 0; i < before.length; i++) {
            if (i / V % l < position) {
              assertThat(Math.abs(after[i] - before[i])).isLessThanOrEqualTo(1e-6);
            }
          }
        }
      }
    }
  }

  private static NpyArray scaledAt(NpyArray x, int position, double factor) {
    long[] s = x.shape();
    double[] all = x.doubles();
    for (int i = 0; i < all.length; i++) {
      all[i] *= i / s[3] % s[2] == position ? factor : 1;
    }
    return NpyArray.of(all, s);
  }

  @ParameterizedTest
  @CsvSource({"reformer, false", "reformer, true", "linformer, false"})
  void paddingChangesNothing(String kind, boolean causal) {
    int l = 13;
    int longer = 20;
    ReformerConfig config = kind.equals("reformer") ? new ReformerConfig(4, 4, 2, 3) : null;
    Map<String, NpyArray> arrays =
        config == null ? linformerInputs(2, l, 24, 3) : reformerInputs(config, 2, l);
    Map<String, NpyArray> padded = new LinkedHashMap<>(arrays);
    for (String name : List.of("q", "k", "v", "g")) {
      padded.put(name, padded(arrays.get(name), longer, name.equals("g") ? 0 : 3));
    }
    boolean[][] real = new boolean[2][longer];
    for (boolean[] row : real) {
      Arrays.fill(row, 0, l, true);
    }
    padded.put("mask", mask(real));
    Map<String, double[]> expected;
    try (var run = run(TFloat64.class, config, causal, arrays)) {
      expected = run.run(arrays, arrays.get("g"));
    }
    try (var run = run(TFloat64.class, config, causal, padded)) {
      Map<String, double[]> actual = run.run(padded, padded.get("g"));
      for (String name : List.of("out", "dq", "dv")) {
        int width = name.equals("dq") ? D : V;
        double[] kept = cut(actual.get(name), longer, l, width);
        assertThat(GraphRun.maxDifference(kept, expected.get(name))).as(name).isLessThan(1e-12);
      }
    }
  }

  private static NpyArray padded(NpyArray x, int length, double fill) {
    long[] s = x.shape().clone();
    int width = (int) s[3];
    int old = (int) s[2];
    double[] all = x.doubles();
    double[] more = new double[all.length / old * length];
    Arrays.fill(more, fill);
    for (int i = 0; i < all.length; i++) {
      int row = i / width;
      more[(row / old * length + row % old) * width + i % width] = all[i];
    }
    s[2] = length;
    return NpyArray.of(more, s);
  }

  private static double[] cut(double[] x, int length, int kept, int width) {
    double[] some = new double[x.length / length * kept];
    for (int i = 0; i < some.length; i++) {
      int row = i / width;
      some[i] = x[(row / kept * length + row % kept) * width + i % width];
    }
    return some;
  }

  @ParameterizedTest
  @CsvSource({"reformer, false", "reformer, true", "linformer, false"})
  void gradientsAreFiniteDifferences(String kind, boolean causal) {
    int l = 6;
    ReformerConfig config = kind.equals("reformer") ? new ReformerConfig(2, 2, 2, 3) : null;
    Map<String, NpyArray> arrays =
        config == null ? linformerInputs(1, l, 7, 3) : reformerInputs(config, 1, l);
    boolean[][] real = {{true, true, true, true, true, false}};
    arrays.put("mask", mask(real));
    try (var run = run(TFloat64.class, config, causal, arrays)) {
      Map<String, double[]> analytic = run.run(arrays, arrays.get("g"));
      for (String name : config == null ? List.of("q", "k", "v", "E", "F") : List.of("q", "v")) {
        double[] numeric = new double[arrays.get(name).doubles().length];
        for (int i = 0; i < numeric.length; i++) {
          double h = 1e-5;
          numeric[i] = (loss(run, arrays, name, i, h) - loss(run, arrays, name, i, -h)) / (2 * h);
        }
        assertThat(GraphRun.maxAbs(numeric)).isGreaterThan(1e-3);
        assertThat(GraphRun.maxDifference(analytic.get("d" + name), numeric))
            .as(name)
            .isLessThan(1e-7);
      }
    }
  }

  private static double loss(
      GraphRun<TFloat64> run, Map<String, NpyArray> arrays, String name, int i, double step) {
    double[] x = arrays.get(name).doubles();
    x[i] += step;
    Map<String, NpyArray> moved = new LinkedHashMap<>(arrays);
    moved.put(name, NpyArray.of(x, arrays.get(name).shape()));
    return dot(run.value(moved), arrays.get("g").doubles());
  }

  @Test
  void linformerIsItsFormula() {
    int l = 10;
    int rank = 4;
    Map<String, NpyArray> arrays = linformerInputs(2, l, 13, rank);
    boolean[][] real = real(2, l, true);
    arrays.put("mask", mask(real));
    double[][] e = Inputs.matrix(arrays.get("E"));
    double[][] f = Inputs.matrix(arrays.get("F"));
    List<double[]> expected = new ArrayList<>();
    for (int b = 0; b < 2; b++) {
      for (int h = 0; h < 2; h++) {
        double[][] q = Inputs.head(arrays.get("q"), b, h);
        double[][] keys = mixed(e, Inputs.head(arrays.get("k"), b, h), real[b]);
        double[][] values = mixed(f, Inputs.head(arrays.get("v"), b, h), real[b]);
        for (double[] row : q) {
          double total = 0;
          double[] out = new double[V];
          for (int m = 0; m < rank; m++) {
            double weight = Math.exp(dot(row, keys[m]) / Math.sqrt(D));
            total += weight;
            for (int x = 0; x < V; x++) {
              out[x] += weight * values[m][x];
            }
          }
          double sum = total;
          expected.add(Arrays.stream(out).map(x -> x / sum).toArray());
        }
      }
    }
    double[] all = Inputs.flatten(expected.toArray(double[][]::new));
    try (var run = run(TFloat64.class, null, false, arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), all)).isLessThan(1e-12);
    }
  }

  private static double[][] mixed(double[][] matrix, double[][] x, boolean[] real) {
    double[][] mixed = new double[matrix.length][x[0].length];
    for (int m = 0; m < matrix.length; m++) {
      for (int j = 0; j < x.length; j++) {
        for (int c = 0; c < x[0].length && real[j]; c++) {
          mixed[m][c] += matrix[m][j] * x[j][c];
        }
      }
    }
    return mixed;
  }

  @Test
  void linformerWithOneMixtureForEachPositionIsExactAttention() {
    int l = 8;
    Map<String, NpyArray> arrays = linformerInputs(2, l, l, l);
    double[] unit = new double[l * l];
    for (int i = 0; i < l; i++) {
      unit[i * l + i] = 1;
    }
    arrays.put("E", NpyArray.of(unit, l, l));
    arrays.put("F", NpyArray.of(unit, l, l));
    double[] expected;
    try (var exact = Inputs.run(TFloat64.class, new ExactAttention(false), null, arrays)) {
      expected = exact.value(arrays);
    }
    try (var run = run(TFloat64.class, null, false, arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(1e-12);
    }
  }
}
