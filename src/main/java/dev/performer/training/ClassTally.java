package dev.performer.training;

import java.util.Map;
import java.util.TreeMap;

/**
 * Means over classes, each of which counts the same however rare it is: macro accuracy is the mean
 * recall of the classes that occur, macro F1 the mean F1 of those that occur or are guessed.
 */
public final class ClassTally implements Measures.Tally {
  private final int classes;
  private final double[] right;
  private final double[] occurring;
  private final double[] guessed;

  public ClassTally(int classes) {
    this.classes = classes;
    right = new double[classes];
    occurring = new double[classes];
    guessed = new double[classes];
  }

  @Override
  public void add(LabelledBatch batch, float[] predictions) {
    for (int row = 0; row < batch.rows(); row++) {
      double weight = batch.weights()[row];
      int target = batch.targets()[row];
      int from = row * classes;
      int guess = 0;
      for (int i = 1; i < classes; i++) {
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
    double recall = 0;
    double f1 = 0;
    int present = 0;
    int seen = 0;
    for (int i = 0; i < classes; i++) {
      if (occurring[i] > 0) {
        recall += right[i] / occurring[i];
        present++;
      }
      if (occurring[i] + guessed[i] > 0) {
        f1 += 2 * right[i] / (occurring[i] + guessed[i]);
        seen++;
      }
    }
    return new TreeMap<>(Map.of("macroAccuracy", recall / present, "macroF1", f1 / seen));
  }
}
