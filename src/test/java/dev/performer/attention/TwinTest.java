package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/** Our convention against the formulas as they are read, in float64. */
class TwinTest {
  private static final int D = 8;

  static Stream<Arguments> cases() {
    return Arrays.stream(Kernel.values())
        .flatMap(
            kernel ->
                Stream.of(false, true)
                    .filter(causal -> !(causal && kernel == Kernel.FAVOR_PLUS_PLUS))
                    .flatMap(
                        causal ->
                            Stream.of(false, true)
                                .map(masked -> Arguments.of(kernel, causal, masked))));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void favorIsItsFormula(Kernel kernel, boolean causal, boolean masked) {
    FavorConfig config =
        FavorConfig.of(kernel).withFeatures(12).withCausal(causal).toBuilder().chunk(4).build();
    int s = causal ? 11 : 7;
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(3, 2, 2, 11, s, D, 5, 0.7));
    arrays.put("P", Inputs.projection(config, D, 5));
    double[] mask = masked ? mask(2, s) : null;
    if (masked) {
      arrays.put("mask", NpyArray.of(mask, 2, s));
    }
    double[] expected = naive(kernel, arrays, causal, mask);
    double scale = Math.max(1, GraphRun.maxAbs(expected));
    try (var run = Inputs.run(TFloat64.class, null, config, arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected) / scale).isLessThan(1e-11);
    }
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      // Signed features have denominators near 0, where float32 loses what the division gains.
      double tolerance = GraphRun.maxAbs(expected) > 10 ? 1e-3 : 2e-5;
      assertThat(GraphRun.maxDifference(run.value(arrays), expected) / scale).isLessThan(tolerance);
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void exactAttentionIsItsFormula(Kernel unused, boolean causal, boolean masked) {
    if (unused != Kernel.SOFTMAX) {
      return;
    }
    int s = causal ? 11 : 7;
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(4, 2, 2, 11, s, D, 5, 2));
    double[] mask = masked ? mask(2, s) : null;
    if (masked) {
      arrays.put("mask", NpyArray.of(mask, 2, s));
    }
    double[] expected =
        heads(arrays, mask, (q, k, v, m) -> NaiveAttention.exact(q, k, v, causal, m));
    try (var run = Inputs.run(TFloat64.class, new ExactAttention(causal), null, arrays)) {
      assertThat(GraphRun.maxDifference(run.value(arrays), expected)).isLessThan(1e-12);
    }
  }

  /** The first item keeps its middle keys; the second keeps none. */
  private static double[] mask(int b, int s) {
    double[] mask = new double[b * s];
    Arrays.fill(mask, 2, s - 2, 1);
    return mask;
  }

  private static double[] naive(
      Kernel kernel, Map<String, NpyArray> arrays, boolean causal, double[] mask) {
    double[][] p = Inputs.matrix(arrays.get("P"));
    return heads(
        arrays,
        mask,
        (q, k, v, m) ->
            switch (kernel) {
              case SOFTMAX -> NaiveAttention.positive(q, k, v, p, causal, m);
              case HYPERBOLIC, SDERF -> NaiveAttention.positive(q, k, v, mirrored(p), causal, m);
              case TRIGONOMETRIC -> NaiveAttention.trigonometric(q, k, v, p, causal, m);
              case FAVOR_PLUS_PLUS -> plusPlus(q, k, v, p, m);
              case EXPMOD -> {
                double s = Math.pow(D, -0.25);
                yield NaiveAttention.generalized(q, k, v, scaled(p, s), causal, m, Math::exp, 0);
              }
              default ->
                  NaiveAttention.generalized(
                      q, k, v, p, causal, m, function(kernel), epsilon(kernel));
            });
  }

  private static double epsilon(Kernel kernel) {
    return switch (kernel) {
      case RELU, REQU, SQUARE, ABS -> 1e-3;
      default -> 0;
    };
  }

  private static DoubleUnaryOperator function(Kernel kernel) {
    return switch (kernel) {
      case RELU -> x -> Math.max(0, x);
      case ELU, SHIFTED_ELU -> x -> x > 0 ? x + 1 : Math.exp(x);
      case SQUARE -> x -> x * x;
      case EXP -> Math::exp;
      case IDENTITY -> x -> x;
      case GELU -> x -> x * normalDistribution(x);
      case TANH -> Math::tanh;
      case SIGMOID -> x -> 1 / (1 + Math.exp(-x));
      case COS -> Math::cos;
      case SIN -> Math::sin;
      case ABS -> Math::abs;
      case REQU -> x -> x > 0 ? x * x : 0;
      default -> throw new AssertionError(kernel);
    };
  }

  /** Φ(x) by the series of its density. */
  private static double normalDistribution(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; n < 200; n++) {
      term *= x * x / (2 * n + 1);
      sum += term;
    }
    return 0.5 + sum * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  }

  /** FAVOR++ with A from the kept keys, straight from the paper. */
  private static double[][] plusPlus(
      double[][] q, double[][] k, double[][] v, double[][] p, double[] mask) {
    double scale = Math.pow(D, -0.25);
    double squares = 0;
    double[] sum = new double[D];
    double count = 0;
    for (int j = 0; j < k.length; j++) {
      double keep = mask == null ? 1 : mask[j];
      count += keep;
      for (int c = 0; c < D; c++) {
        squares += keep * scale * scale * k[j][c] * k[j][c];
        sum[c] += keep * scale * k[j][c];
      }
    }
    double n = Math.max(1, count);
    double mean = 2 * squares / n + 2 * DoubleStream.of(sum).map(x -> x * x / (n * n)).sum();
    double rho = Math.max(mean, 1e-6) / D;
    double a = (1 - 2 * rho - Math.sqrt((2 * rho + 1) * (2 * rho + 1) + 8 * rho)) / 16; // paper, A*
    double b = Math.sqrt(1 - 4 * a);
    double[][] withLengths = new double[p.length][];
    for (int m = 0; m < p.length; m++) {
      double[] row = Arrays.copyOf(scaled(p, b * scale)[m], D + 1);
      row[D] = a * NaiveAttention.dot(p[m], p[m]);
      withLengths[m] = row;
    }
    // exp(−|q'|²/2) cancels; exp(−|k'|²/2) does not, so it multiplies the features of keys.
    return NaivePlusPlus.attend(q, k, v, withLengths, scale, mask);
  }

  /** The last step of FAVOR++, whose keys carry a norm. */
  private static final class NaivePlusPlus {
    static double[][] attend(
        double[][] q, double[][] k, double[][] v, double[][] p, double scale, double[] mask) {
      double[][] out = new double[q.length][v[0].length];
      for (int i = 0; i < q.length; i++) {
        double total = 0;
        for (int j = 0; j < k.length; j++) {
          if (mask != null && mask[j] == 0) {
            continue;
          }
          double weight = 0;
          for (double[] w : p) {
            double e = 2 * w[D] - scale * scale * NaiveAttention.dot(k[j], k[j]) / 2;
            for (int c = 0; c < D; c++) {
              e += w[c] * (q[i][c] + k[j][c]);
            }
            weight += Math.exp(e);
          }
          total += weight;
          for (int c = 0; c < v[0].length; c++) {
            out[i][c] += weight * v[j][c];
          }
        }
        for (int c = 0; c < v[0].length; c++) {
          out[i][c] = total == 0 ? 0 : out[i][c] / total;
        }
      }
      return out;
    }
  }

  static double[][] mirrored(double[][] p) {
    return Stream.concat(Arrays.stream(p), Arrays.stream(scaled(p, -1))).toArray(double[][]::new);
  }

  private static double[][] scaled(double[][] p, double factor) {
    return Arrays.stream(p)
        .map(row -> Arrays.stream(row).map(x -> x * factor).toArray())
        .toArray(double[][]::new);
  }

  private interface Head {
    double[][] attend(double[][] q, double[][] k, double[][] v, double[] mask);
  }

  private static double[] heads(Map<String, NpyArray> arrays, double[] mask, Head head) {
    long[] shape = arrays.get("k").shape();
    int s = (int) shape[2];
    return Stream.iterate(0, b -> b < shape[0], b -> b + 1)
        .flatMap(
            b ->
                Stream.iterate(0, h -> h < shape[1], h -> h + 1)
                    .map(
                        h ->
                            head.attend(
                                Inputs.head(arrays.get("q"), b, h),
                                Inputs.head(arrays.get("k"), b, h),
                                Inputs.head(arrays.get("v"), b, h),
                                mask == null ? null : Arrays.copyOfRange(mask, b * s, b * s + s))))
        .flatMapToDouble(rows -> Arrays.stream(rows).flatMapToDouble(Arrays::stream))
        .toArray();
  }
}
