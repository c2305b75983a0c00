package dev.performer.training;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Errors in the labels' own unit, and how predictions go with labels: Pearson's correlation,
 * Spearman's of the ranks (ties share the mean of theirs), and r², of which predicting the mean of
 * these labels has 0. Rows of weight 0 count nothing; correlations are left out where all
 * predictions or all labels are the same.
 */
public final class RegressionTally implements Measures.Tally {
  private final Standardization unit;
  private final List<Double> predicted = new ArrayList<>();
  private final List<Double> labels = new ArrayList<>();
  private final List<Double> weights = new ArrayList<>();

  public RegressionTally(Standardization unit) {
    this.unit = unit;
  }

  @Override
  public void add(LabelledBatch batch, float[] predictions) {
    for (int i = 0; i < batch.weights().length; i++) {
      if (batch.weights()[i] > 0) {
        predicted.add(unit.restored(predictions[i]));
        labels.add(unit.restored(batch.numbers()[i]));
        weights.add((double) batch.weights()[i]);
      }
    }
  }

  @Override
  public Map<String, Double> result(double loss) {
    double[] x = array(predicted);
    double[] y = array(labels);
    double[] w = array(weights);
    double total = 0;
    double squares = 0;
    double absolute = 0;
    for (int i = 0; i < x.length; i++) {
      total += w[i];
      squares += w[i] * (x[i] - y[i]) * (x[i] - y[i]);
      absolute += w[i] * Math.abs(x[i] - y[i]);
    }
    double variance = covariance(y, y, w) / total;
    Map<String, Double> measures = new TreeMap<>();
    measures.put("meanSquaredError", squares / total);
    measures.put("meanAbsoluteError", absolute / total);
    measures.put("pearson", correlation(x, y, w));
    measures.put("spearman", correlation(ranks(x), ranks(y), w));
    measures.put("r2", variance == 0 ? Double.NaN : 1 - squares / total / variance);
    measures.values().removeIf(value -> value.isNaN());
    return measures;
  }

  private static double[] array(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).toArray();
  }

  private static double correlation(double[] x, double[] y, double[] weights) {
    return covariance(x, y, weights)
        / Math.sqrt(covariance(x, x, weights) * covariance(y, y, weights));
  }

  private static double covariance(double[] x, double[] y, double[] weights) {
    double total = 0;
    double meanX = 0;
    double meanY = 0;
    for (int i = 0; i < x.length; i++) {
      total += weights[i];
      meanX += weights[i] * (x[i] - meanX) / total;
      meanY += weights[i] * (y[i] - meanY) / total;
    }
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += weights[i] * (x[i] - meanX) * (y[i] - meanY);
    }
    return sum;
  }

  private static double[] ranks(double[] values) {
    int[] order =
        IntStream.range(0, values.length)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> values[i]))
            .mapToInt(Integer::intValue)
            .toArray();
    double[] ranks = new double[values.length];
    for (int from = 0; from < order.length; ) {
      int to = from;
      while (to < order.length && values[order[to]] == values[order[from]]) {
        to++;
      }
      for (int i = from; i < to; i++) {
        ranks[order[i]] = (from + to - 1) / 2.0;
      }
      from = to;
    }
    return ranks;
  }
}
