package dev.performer.attention;

import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

/**
 * The formulas as they are read, in float64, one head: {@code q [L][D]}, {@code k [S][D]}, {@code v
 * [S][V]}.
 */
final class NaiveAttention {
  private NaiveAttention() {}

  /** The logarithm of a weight of key j for query i; -infinity for none. */
  interface LogWeight {
    double of(int i, int j);
  }

  /** Exact softmax attention; a query that sees no key gets 0. */
  static double[][] exact(double[][] q, double[][] k, double[][] v, boolean causal, double[] mask) {
    double scale = 1 / Math.sqrt(q[0].length);
    return inLogs(q.length, v, causal, mask, (i, j) -> scale * dot(q[i], k[j]));
  }

  /** The positive-feature estimate of softmax, all in logarithms. */
  static double[][] positive(
      double[][] q, double[][] k, double[][] v, double[][] p, boolean causal, double[] mask) {
    double scale = Math.pow(q[0].length, -0.25);
    double[][] qs = scaled(q, scale);
    double[][] ks = scaled(k, scale);
    double[][] pq = products(qs, p);
    double[][] pk = products(ks, p);
    double[] q2 = squares(qs);
    double[] k2 = squares(ks);
    return inLogs(
        q.length,
        v,
        causal,
        mask,
        (i, j) -> {
          double[] terms = new double[p.length];
          for (int m = 0; m < p.length; m++) {
            terms[m] = pq[i][m] + pk[j][m] - q2[i] / 2 - k2[j] / 2;
          }
          return logSumExp(terms);
        });
  }

  /** Generalized attention with features {@code f(Px) + ε}, or {@code f(x) + ε}. */
  static double[][] generalized(
      double[][] q,
      double[][] k,
      double[][] v,
      double[][] p,
      boolean causal,
      double[] mask,
      DoubleUnaryOperator f,
      double epsilon) {
    double[][] fq = features(q, p, f, epsilon);
    double[][] fk = features(k, p, f, epsilon);
    return weighted(q.length, v, causal, mask, (i, j) -> dot(fq[i], fk[j]));
  }

  /** The trigonometric estimate of softmax. */
  static double[][] trigonometric(
      double[][] q, double[][] k, double[][] v, double[][] p, boolean causal, double[] mask) {
    double scale = Math.pow(q[0].length, -0.25);
    double[][] qs = scaled(q, scale);
    double[][] ks = scaled(k, scale);
    double[][] pq = products(qs, p);
    double[][] pk = products(ks, p);
    double[] q2 = squares(qs);
    double[] k2 = squares(ks);
    return weighted(
        q.length,
        v,
        causal,
        mask,
        (i, j) -> {
          double sum = 0;
          for (int m = 0; m < p.length; m++) {
            sum += Math.cos(pq[i][m] - pk[j][m]);
          }
          return sum * Math.exp((q2[i] + k2[j]) / 2);
        });
  }

  /** A weight of key j for query i. */
  interface Weight {
    double of(int i, int j);
  }

  private static double[][] weighted(
      int length, double[][] v, boolean causal, double[] mask, Weight weight) {
    double[][] out = new double[length][v[0].length];
    for (int i = 0; i < length; i++) {
      double total = 0;
      for (int j = 0; j < v.length; j++) {
        if ((causal && j > i) || (mask != null && mask[j] == 0)) {
          continue;
        }
        double w = weight.of(i, j);
        total += w;
        for (int c = 0; c < v[0].length; c++) {
          out[i][c] += w * v[j][c];
        }
      }
      for (int c = 0; c < v[0].length; c++) {
        out[i][c] = total == 0 ? 0 : out[i][c] / total;
      }
    }
    return out;
  }

  static double[][] inLogs(
      int length, double[][] v, boolean causal, double[] mask, LogWeight weight) {
    double[] largest = new double[length];
    Arrays.fill(largest, Double.NEGATIVE_INFINITY);
    double[][] logs = new double[length][v.length];
    for (int i = 0; i < length; i++) {
      for (int j = 0; j < v.length; j++) {
        boolean seen = !(causal && j > i) && (mask == null || mask[j] != 0);
        logs[i][j] = seen ? weight.of(i, j) : Double.NEGATIVE_INFINITY;
        largest[i] = Math.max(largest[i], logs[i][j]);
      }
    }
    return weighted(length, v, causal, mask, (i, j) -> Math.exp(logs[i][j] - largest[i]));
  }

  private static double[][] features(
      double[][] x, double[][] p, DoubleUnaryOperator f, double epsilon) {
    double[][] result = new double[x.length][];
    for (int i = 0; i < x.length; i++) {
      double[] row = x[i];
      double[] u = p == null ? row : product(row, p);
      result[i] = Arrays.stream(u).map(z -> f.applyAsDouble(z) + epsilon).toArray();
    }
    return result;
  }

  /** Of each row with each row of p. */
  private static double[][] products(double[][] x, double[][] p) {
    return Arrays.stream(x).map(row -> product(row, p)).toArray(double[][]::new);
  }

  private static double[] product(double[] row, double[][] p) {
    return Arrays.stream(p).mapToDouble(w -> dot(w, row)).toArray();
  }

  private static double[] squares(double[][] x) {
    return Arrays.stream(x).mapToDouble(row -> dot(row, row)).toArray();
  }

  static double logSumExp(double[] x) {
    double max = Arrays.stream(x).max().orElseThrow();
    return max + Math.log(Arrays.stream(x).map(t -> Math.exp(t - max)).sum());
  }

  static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static double[][] scaled(double[][] x, double factor) {
    return Arrays.stream(x)
        .map(row -> Arrays.stream(row).map(e -> e * factor).toArray())
        .toArray(double[][]::new);
  }
}
