package dev.performer.training;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.ExampleSource;
import dev.performer.data.Label;
import dev.performer.data.NpyArray;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The unit in which a regression is trained: labels minus their mean, over their standard deviation
 * in the training data. Exported weights predict in the labels' own unit: the last layer is linear,
 * so it takes the unit over exactly.
 *
 * @param mean of the labels
 * @param deviation of the labels, above 0
 */
public record Standardization(double mean, double deviation) {
  private static final String KERNEL = "classifier/logits/kernel";
  private static final String BIAS = "classifier/logits/bias";

  /** Labels as they are. */
  public static final Standardization NONE = new Standardization(0, 1);

  public Standardization {
    boolean holds = Double.isFinite(mean) && deviation > 0 && Double.isFinite(deviation);
    String text = "data.standardize: expected a finite mean and a deviation above 0, not %s and %s";
    require(holds, text, mean, deviation);
  }

  /** Of the labels of a source, in one pass; an error if one is no number, or all are the same. */
  public static Standardization of(ExampleSource source) {
    String text = " has no numbers to learn; name their column in data.label";
    try (var stream = source.open()) {
      return of(
          source.name(),
          stream.map(
              example -> {
                if (example.label() instanceof Label.Value number) {
                  return (double) number.value();
                }
                throw new PerformerException(source.name() + text);
              }));
    }
  }

  /** The same of numbers; NaN is left out. @param name what a message calls them */
  public static Standardization of(String name, Iterator<Double> values) {
    long count = 0;
    double mean = 0;
    double squares = 0;
    while (values.hasNext()) {
      double value = values.next();
      if (!Double.isNaN(value)) {
        count++;
        double difference = value - mean;
        mean += difference / count;
        squares += difference * (value - mean);
      }
    }
    String reason = count < 2 ? "fewer than two labels" : "every label is " + mean;
    require(squares != 0, "%s: %s; a regression needs labels that differ", name, reason);
    return new Standardization(mean, Math.sqrt(squares / count));
  }

  /** A label in the unit of training. */
  public float standardized(float label) {
    return (float) ((label - mean) / deviation);
  }

  /** A prediction of training in the labels' own unit. */
  public double restored(double prediction) {
    return prediction * deviation + mean;
  }

  /** Weights of training as weights whose outputs are in the labels' own unit. */
  public Map<String, NpyArray> restored(Map<String, NpyArray> weights) {
    return scaled(weights, deviation, mean);
  }

  /** The other way round; what has no such weights stays as it is. */
  public Map<String, NpyArray> standardized(Map<String, NpyArray> weights) {
    return scaled(weights, 1 / deviation, -mean / deviation);
  }

  private static Map<String, NpyArray> scaled(
      Map<String, NpyArray> weights, double factor, double shift) {
    if (factor == 1 && shift == 0) {
      return weights;
    }
    Map<String, NpyArray> result = new LinkedHashMap<>(weights);
    result.computeIfPresent(KERNEL, (name, array) -> scaled(array, factor, 0));
    result.computeIfPresent(BIAS, (name, array) -> scaled(array, factor, shift));
    return result;
  }

  private static NpyArray scaled(NpyArray array, double factor, double shift) {
    float[] values = array.floats().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (values[i] * factor + shift);
    }
    return NpyArray.of(values, array.shape());
  }
}
