package dev.performer.training.optim;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** The optimizers' formulas as their papers write them, in float64, one tensor at a time. */
final class NaiveOptimizer {
  private final Optimizer optimizer;
  private final Map<String, double[]> slots = new HashMap<>();
  private int t;

  NaiveOptimizer(Optimizer optimizer) {
    this.optimizer = optimizer;
  }

  /** Begins a step. */
  void next() {
    t++;
  }

  /**
   * Moves a tensor.
   *
   * @param rows of the tensor seen as a matrix; 1 for a vector
   */
  void update(String name, double[] x, double[] g, int rows, double rate, boolean decays) {
    double[] old = x.clone();
    double[] step;
    if (optimizer instanceof Optimizer.AdamW adam) {
      step = adam(name, g, adam, rate);
    } else if (optimizer instanceof Optimizer.Adafactor adafactor) {
      step = adafactor(name, x, g, rows, adafactor, rate);
    } else if (optimizer instanceof Optimizer.Sgd sgd) {
      step = sgd(name, g, sgd, rate);
    } else {
      step = lion(name, g, (Optimizer.Lion) optimizer, rate);
    }
    double decay = decays || optimizer.decaysAll() ? optimizer.weightDecay() : 0;
    for (int i = 0; i < x.length; i++) {
      x[i] = old[i] - step[i] - rate * decay * old[i];
    }
  }

  private double[] slot(String name, int size) {
    return slots.computeIfAbsent(name, n -> new double[size]);
  }

  private double[] adam(String name, double[] g, Optimizer.AdamW c, double rate) {
    double[] m = slot(name + "/m", g.length);
    double[] v = slot(name + "/v", g.length);
    double[] step = new double[g.length];
    for (int i = 0; i < g.length; i++) {
      m[i] = c.beta1() * m[i] + (1 - c.beta1()) * g[i];
      v[i] = c.beta2() * v[i] + (1 - c.beta2()) * g[i] * g[i];
      double mHat = m[i] / (1 - Math.pow(c.beta1(), t));
      double vHat = v[i] / (1 - Math.pow(c.beta2(), t));
      step[i] = rate * mHat / (Math.sqrt(vHat) + c.epsilon());
    }
    return step;
  }

  private double[] sgd(String name, double[] g, Optimizer.Sgd c, double rate) {
    double[] v = slot(name + "/v", g.length);
    double[] step = new double[g.length];
    for (int i = 0; i < g.length; i++) {
      v[i] = c.momentum() * v[i] + g[i];
      step[i] = rate * (c.nesterov() ? g[i] + c.momentum() * v[i] : v[i]);
    }
    return step;
  }

  private double[] lion(String name, double[] g, Optimizer.Lion c, double rate) {
    double[] m = slot(name + "/m", g.length);
    double[] step = new double[g.length];
    for (int i = 0; i < g.length; i++) {
      step[i] = rate * Math.signum(c.beta1() * m[i] + (1 - c.beta1()) * g[i]);
      m[i] = c.beta2() * m[i] + (1 - c.beta2()) * g[i];
    }
    return step;
  }

  private double[] adafactor(
      String name, double[] x, double[] g, int n, Optimizer.Adafactor c, double rate) {
    int m = g.length / n;
    double beta2 = 1 - Math.pow(t, -c.decayExponent());
    double[] v = new double[g.length];
    if (Math.min(n, m) >= Math.max(2, c.smallestFactored())) {
      double[] r = slot(name + "/r", n);
      double[] column = slot(name + "/c", m);
      double[] rowSums = new double[n];
      double[] columnSums = new double[m];
      for (int i = 0; i < g.length; i++) {
        double square = g[i] * g[i] + c.epsilon1();
        rowSums[i / m] += square;
        columnSums[i % m] += square;
      }
      for (int i = 0; i < n; i++) {
        r[i] = beta2 * r[i] + (1 - beta2) * rowSums[i];
      }
      for (int j = 0; j < m; j++) {
        column[j] = beta2 * column[j] + (1 - beta2) * columnSums[j];
      }
      double total = Arrays.stream(r).sum();
      for (int i = 0; i < g.length; i++) {
        v[i] = r[i / m] * column[i % m] / total;
      }
    } else {
      double[] kept = slot(name + "/v", g.length);
      for (int i = 0; i < g.length; i++) {
        kept[i] = beta2 * kept[i] + (1 - beta2) * (g[i] * g[i] + c.epsilon1());
      }
      v = kept;
    }
    double[] u = new double[g.length];
    for (int i = 0; i < u.length; i++) {
      u[i] = g[i] / Math.sqrt(v[i]);
    }
    double excess = Math.max(1, rms(u) / c.clipThreshold());
    double[] first = slot(name + "/m", u.length);
    double alpha = c.relative() ? rate * Math.max(c.epsilon2(), rms(x)) : rate;
    double[] step = new double[u.length];
    for (int i = 0; i < u.length; i++) {
      first[i] = c.beta1() * first[i] + (1 - c.beta1()) * u[i] / excess;
      step[i] = alpha * first[i];
    }
    return step;
  }

  private static double rms(double[] x) {
    return Math.sqrt(Arrays.stream(x).map(a -> a * a).sum() / x.length);
  }
}
