package dev.performer.training;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntToDoubleFunction;
import java.util.function.Supplier;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
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
   * Of two classes, the area under the curve (AUROC) and F1 of the second besides.
   */
  public static final class ClassTally implements Tally {
    private final double[] right;
    private final double[] occurring;
    private final double[] guessed;
    private final FlagTally second;

    public ClassTally(int classes) {
      second = classes == 2 ? new FlagTally(1) : null;
      right = new double[classes];
      occurring = new double[classes];
      guessed = new double[classes];
    }

    @Override
    public void add(LabelledBatch batch, float[] predictions) {
      int classes = right.length;
      for (int row = 0; row < batch.weights().length; row++) {
        float weight = batch.weights()[row];
        int target = batch.targets()[row];
        if (second != null) {
          second.add(0, predictions[2 * row + 1] - predictions[2 * row], target, weight);
        }
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
      Map<String, Double> measures = new TreeMap<>(Map.of("macroAccuracy", recall, "macroF1", f1));
      if (second != null) {
        measures.put("f1", second.microF1());
        measures.put("auroc", second.auroc());
        measures.values().removeIf(value -> value.isNaN());
      }
      return measures;
    }

    private double mean(IntToDoubleFunction ofClass) {
      return Measures.mean(right.length, ofClass);
    }
  }

  /** Over what has a value; without one it has 0/0. */
  private static double mean(int count, IntToDoubleFunction value) {
    var values = IntStream.range(0, count).mapToDouble(value);
    return values.filter(v -> !Double.isNaN(v)).average().orElse(Double.NaN);
  }

  /**
   * Of labels that an example has or has not, each guessed where its logit is above 0: F1 over all
   * of them (micro), the mean F1 of the labels that occur or are guessed (macro), and the mean area
   * under the curve of true and false positives (AUROC, ties half) of those that are not always or
   * never there.
   */
  public static final class FlagTally implements Tally {
    private final List<List<double[]>> scored = new ArrayList<>(); // score, whether it is there

    public FlagTally(int labels) {
      IntStream.range(0, labels).forEach(i -> scored.add(new ArrayList<>()));
    }

    private void add(int label, double logit, double target, double weight) {
      if (weight > 0) {
        scored.get(label).add(new double[] {logit, target > 0.5 ? 1 : 0});
      }
    }

    @Override
    public void add(LabelledBatch batch, float[] predictions) {
      for (int i = 0; i < batch.weights().length; i++) {
        add(i % scored.size(), predictions[i], batch.numbers()[i], batch.weights()[i]);
      }
    }

    @Override
    public Map<String, Double> result(double loss) {
      Map<String, Double> measures = new TreeMap<>();
      measures.put("microF1", microF1());
      measures.put("macroF1", mean(scored.size(), i -> f1(scored.subList(i, i + 1))));
      measures.put("auroc", auroc());
      measures.values().removeIf(value -> value.isNaN());
      return measures;
    }

    private double microF1() {
      return f1(scored);
    }

    private static double f1(List<List<double[]>> labels) {
      double right = 0;
      double all = 0;
      for (List<double[]> label : labels) {
        for (double[] guess : label) {
          right += guess[0] > 0 ? 2 * guess[1] : 0;
          all += (guess[0] > 0 ? 1 : 0) + guess[1];
        }
      }
      return right / all;
    }

    private double auroc() {
      return mean(scored.size(), i -> auroc(scored.get(i)));
    }

    /** Mann and Whitney's U over the pairs of one that has the label and one that has not. */
    private static double auroc(List<double[]> guesses) {
      double[] ranks = ranks(guesses.stream().mapToDouble(guess -> guess[0]).toArray());
      double positive = 0;
      double sum = 0;
      for (int i = 0; i < ranks.length; i++) {
        positive += guesses.get(i)[1];
        sum += guesses.get(i)[1] * (ranks[i] + 1);
      }
      double pairs = positive * (ranks.length - positive);
      return (sum - positive * (positive + 1) / 2) / pairs; // 0/0 where all are alike
    }
  }

  /** {@link RegressionTally} of several numbers: the means over them. */
  public static final class NumbersTally implements Tally {
    private final List<RegressionTally> each;

    public NumbersTally(int numbers) {
      each =
          Stream.generate(() -> new RegressionTally(Standardization.NONE)).limit(numbers).toList();
    }

    @Override
    public void add(LabelledBatch batch, float[] predictions) {
      for (int i = 0; i < batch.weights().length; i++) {
        each.get(i % each.size()).add(predictions[i], batch.numbers()[i], batch.weights()[i]);
      }
    }

    @Override
    public Map<String, Double> result(double loss) {
      Map<String, List<Double>> values = new TreeMap<>();
      each.forEach(
          tally ->
              tally
                  .result(loss)
                  .forEach(
                      (name, value) ->
                          values.computeIfAbsent(name, n -> new ArrayList<>()).add(value)));
      Map<String, Double> means = new TreeMap<>();
      values.forEach((name, all) -> means.put(name, mean(all.size(), all::get)));
      return means;
    }
  }

  /** From 0; ties share the mean of theirs. NaN is the largest and never ties. */
  private static double[] ranks(double[] values) {
    var byValue = Comparator.<Integer>comparingDouble(i -> values[i]);
    var order = IntStream.range(0, values.length).boxed().sorted(byValue).toList();
    double[] ranks = new double[values.length];
    for (int from = 0, to; from < values.length; from = to) {
      to = from + 1;
      while (to < values.length && values[order.get(to)] == values[order.get(from)]) {
        to++;
      }
      for (int i = from; i < to; i++) {
        ranks[order.get(i)] = (from + to - 1) / 2.0;
      }
    }
    return ranks;
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
        add(predictions[i], batch.numbers()[i], batch.weights()[i]);
      }
    }

    private void add(float prediction, float number, float weight) {
      if (weight > 0) {
        predicted.add(unit.restored(prediction));
        labels.add(unit.restored(number));
        weights.add(weight);
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
  }
}
