package dev.performer.training;

import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntToDoubleFunction;
import java.util.function.Supplier;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.tensorflow.Output;
import org.tensorflow.types.TFloat32;

/**
 * What an evaluation measures by name besides loss, accuracy and perplexity.
 *
 * @param predictions what the model computes of a batch, {@code [B, …]}, fetched for each; empty
 *     where the loss is enough
 * @param tallies begins a pass over the data
 */
public record Measures(Optional<Output<TFloat32>> predictions, Supplier<Tally> tallies) {
  /** Nothing besides. */
  public static final Measures NONE = new Measures(Optional.empty(), () -> loss -> Map.of());

  /** One pass over the data. */
  @FunctionalInterface
  public interface Tally {
    /** Takes a batch. @param predictions in C order; empty where none are fetched */
    default void add(LabelledBatch batch, float[] predictions) {}

    /** What all batches come to, by name. */
    Map<String, Double> result(double loss);
  }

  /** The same predictions, measured in another way. */
  public Measures with(Supplier<Tally> others) {
    return new Measures(predictions, others);
  }

  public static Map<String, Double> ofBits(double loss) {
    return Map.of("bitsPerDimension", loss / Math.log(2));
  }

  /** The loss in bits, as image models are compared: each guess is one dimension. */
  public static Measures bitsPerDimension() {
    return new Measures(Optional.empty(), () -> Measures::ofBits);
  }

  /**
   * Means over classes, each of which counts the same however rare it is: macro accuracy is the
   * mean recall of the classes that occur, macro F1 the mean F1 of those that occur or are guessed.
   */
  public static final class ClassTally implements Tally {
    private final double[] right;
    private final double[] occurring;
    private final double[] guessed;

    public ClassTally(int classes) {
      right = new double[classes];
      occurring = new double[classes];
      guessed = new double[classes];
    }

    @Override
    public void add(LabelledBatch batch, float[] predictions) {
      int classes = right.length;
      for (int row = 0; row < batch.rows(); row++) {
        double weight = batch.weights()[row];
        int target = batch.targets()[row];
        int guess = 0;
        for (int i = 1, from = row * classes; i < classes; i++) {
          guess = predictions[from + i] > predictions[from + guess] ? i : guess;
        }
        guessed[guess] += weight;
        if (target < classes) {
          occurring[target] += weight;
          right[target] += guess == target ? weight : 0;
        }
      }
    }

    @Override
    public Map<String, Double> result(double loss) {
      double recall = mean(i -> right[i] / occurring[i]);
      double f1 = mean(i -> 2 * right[i] / (occurring[i] + guessed[i]));
      return new TreeMap<>(Map.of("macroAccuracy", recall, "macroF1", f1));
    }

    /** Over classes that have a value; without one they have 0/0. */
    private double mean(IntToDoubleFunction ofClass) {
      var values = IntStream.range(0, right.length).mapToDouble(ofClass);
      return values.filter(value -> !Double.isNaN(value)).average().orElse(Double.NaN);
    }
  }

  /**
   * Errors in the labels' own unit, and how predictions go with labels: Pearson's correlation,
   * Spearman's of the ranks (ties share the mean of theirs), and r², of which predicting the mean
   * of these labels has 0. Rows of weight 0 count nothing; correlations are left out where all
   * predictions or all labels are the same.
   */
  public static final class RegressionTally implements Tally {
    private final Standardization unit;
    private final DoubleStream.Builder predicted = DoubleStream.builder();
    private final DoubleStream.Builder labels = DoubleStream.builder();
    private final DoubleStream.Builder weights = DoubleStream.builder();

    public RegressionTally(Standardization unit) {
      this.unit = unit;
    }

    @Override
    public void add(LabelledBatch batch, float[] predictions) {
      for (int i = 0; i < batch.weights().length; i++) {
        if (batch.weights()[i] > 0) {
          predicted.add(unit.restored(predictions[i]));
          labels.add(unit.restored(batch.numbers()[i]));
          weights.add(batch.weights()[i]);
        }
      }
    }

    @Override
    public Map<String, Double> result(double loss) {
      double[] x = predicted.build().toArray();
      double[] y = labels.build().toArray();
      double[] w = weights.build().toArray();
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
      var byValue = Comparator.<Integer>comparingDouble(i -> values[i]);
      var order = IntStream.range(0, values.length).boxed().sorted(byValue).toList();
      double[] ranks = new double[values.length];
      for (int from = 0, to = 0; from < values.length; from = to) {
        while (to < values.length && values[order.get(to)] == values[order.get(from)]) {
          to++;
        }
        for (int i = from; i < to; i++) {
          ranks[order.get(i)] = (from + to - 1) / 2.0;
        }
      }
      return ranks;
    }
  }
}
