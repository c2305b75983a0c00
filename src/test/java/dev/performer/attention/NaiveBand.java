package dev.performer.attention;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** {@link BandedAttention} with its matrix {@code [L, L]}, in float64, one head. */
final class NaiveBand {
  private NaiveBand() {}

  static double[][] attend(
      FavorConfig config, double[][] q, double[][] k, double[][] v, double[][] p, double[] mask) {
    double scale = Math.pow(q[0].length, -0.25);
    double[][] qs = scaled(q, scale);
    double[][] ks = scaled(k, scale);
    Set<Integer> sinks = sinks(config, mask);
    double[] others = mask.clone();
    sinks.forEach(j -> others[j] = 0);
    double a = config.kernel() == Kernel.FAVOR_PLUS_PLUS ? amount(ks, others) : 0;
    double[][] out = new double[q.length][v[0].length];
    for (int i = 0; i < q.length; i++) {
      double[] logs = new double[k.length];
      double[] signs = new double[k.length];
      for (int j = 0; j < k.length; j++) {
        boolean seen = mask[j] > 0 && !(config.causal() && j > i);
        boolean near = config.window() > 0 && Math.abs(i - j) <= config.window();
        boolean exact = near || sinks.contains(j);
        signs[j] = seen && (exact || config.linear()) ? 1 : 0;
        logs[j] = NaiveAttention.dot(qs[i], ks[j]);
        if (!exact && config.kernel() == Kernel.TRIGONOMETRIC) {
          double estimate = trigonometric(qs[i], ks[j], p);
          logs[j] = Math.log(Math.abs(estimate));
          signs[j] *= Math.signum(estimate);
        } else if (!exact) {
          boolean mirrored =
              config.kernel() == Kernel.HYPERBOLIC || config.kernel() == Kernel.SDERF;
          logs[j] = positive(qs[i], ks[j], mirrored ? mirrored(p) : p, a);
        }
      }
      double max = Double.NEGATIVE_INFINITY;
      for (int j = 0; j < k.length; j++) {
        max = signs[j] == 0 ? max : Math.max(max, logs[j]);
      }
      double total = 0;
      for (int j = 0; j < k.length; j++) {
        double weight = signs[j] == 0 ? 0 : signs[j] * Math.exp(logs[j] - max);
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

  /** The n-th keys that count, or the n-th last. */
  private static Set<Integer> sinks(FavorConfig config, double[] mask) {
    List<Integer> kept = new ArrayList<>();
    for (int j = 0; j < mask.length; j++) {
      if (mask[j] > 0) {
        kept.add(j);
      }
    }
    Set<Integer> sinks = new HashSet<>();
    for (int n : config.sinks()) {
      int at = n < 0 ? kept.size() + n : n;
      if (at >= 0 && at < kept.size()) {
        sinks.add(kept.get(at));
      }
    }
    return sinks;
  }

  /** {@code log mean exp(2A|ω|² + √(1−4A) ω·(q+k) − (|q|² + |k|²)/2) + D/2 log(1−4A)}. */
  private static double positive(double[] q, double[] k, double[][] p, double a) {
    double norms = (NaiveAttention.dot(q, q) + NaiveAttention.dot(k, k)) / 2;
    double[] terms = new double[p.length];
    for (int m = 0; m < p.length; m++) {
      double product = NaiveAttention.dot(p[m], q) + NaiveAttention.dot(p[m], k);
      terms[m] = 2 * a * NaiveAttention.dot(p[m], p[m]) + Math.sqrt(1 - 4 * a) * product - norms;
    }
    double max = Arrays.stream(terms).max().orElseThrow();
    double mean = Arrays.stream(terms).map(x -> Math.exp(x - max)).average().orElseThrow();
    return max + Math.log(mean) + q.length / 2.0 * Math.log(1 - 4 * a);
  }

  private static double trigonometric(double[] q, double[] k, double[][] p) {
    double norms = (NaiveAttention.dot(q, q) + NaiveAttention.dot(k, k)) / 2;
    return Arrays.stream(p)
            .mapToDouble(w -> Math.cos(NaiveAttention.dot(w, q) - NaiveAttention.dot(w, k)))
            .average()
            .orElseThrow()
        * Math.exp(norms);
  }

  /** A of FAVOR++ from the keys that features stand for. */
  private static double amount(double[][] k, double[] mask) {
    int d = k[0].length;
    double squares = 0;
    double count = 0;
    double[] sum = new double[d];
    for (int j = 0; j < k.length; j++) {
      count += mask[j];
      squares += mask[j] * NaiveAttention.dot(k[j], k[j]);
      for (int c = 0; c < d; c++) {
        sum[c] += mask[j] * k[j][c];
      }
    }
    double n = Math.max(1, count);
    double mean = 2 * squares / n + 2 * NaiveAttention.dot(sum, sum) / (n * n);
    double rho = Math.max(mean, 1e-6) / d;
    return (1 - 2 * rho - Math.sqrt((2 * rho + 1) * (2 * rho + 1) + 8 * rho)) / 16;
  }

  private static double[][] mirrored(double[][] p) {
    return Stream.concat(Arrays.stream(p), Arrays.stream(scaled(p, -1))).toArray(double[][]::new);
  }

  private static double[][] scaled(double[][] x, double factor) {
    return Arrays.stream(x)
        .map(row -> Arrays.stream(row).map(y -> y * factor).toArray())
        .toArray(double[][]::new);
  }
}
