package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.training.Measures.ClassTally;
import dev.performer.training.Measures.FlagTally;
import dev.performer.training.Measures.NumbersTally;
import java.util.Arrays;
import java.util.Map;
import java.util.SplittableRandom;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/**
 * Measures of labels against the formulas as they are read, and values that scikit-learn's docs
 * give.
 */
class MeasuresTest {
  private static final Offset<Double> EXACT = within(1e-12);

  private static LabelledBatch of(int rows, int[] targets, float[] weights, float[] numbers) {
    return LabelledBatch.of(rows, targets, weights, numbers, Map.of());
  }

  private static float[] ones(int count) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1);
    return ones;
  }

  /** {@code roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])} is 0.75. */
  @Test
  void twoClassesHaveAnAreaUnderTheCurve() {
    ClassTally tally = new ClassTally(2);
    float[] logits = {0, -0.4f, 0, -0.1f, 0, -0.15f, 0, 0.3f};
    tally.add(of(4, new int[] {0, 0, 1, 1}, ones(4), new float[0]), logits);
    assertThat(tally.result(0).get("auroc")).isEqualTo(0.75);
    assertThat(tally.result(0).get("f1")).isCloseTo(2 / 3.0, EXACT);
  }

  /** {@code f1_score([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average='macro')} is 0.26… */
  @Test
  void severalClassesHaveAMacroF1() {
    ClassTally tally = new ClassTally(3);
    int[] guesses = {0, 2, 1, 0, 0, 1};
    float[] logits = new float[18];
    for (int i = 0; i < guesses.length; i++) {
      logits[3 * i + guesses[i]] = 1;
    }
    tally.add(of(6, new int[] {0, 1, 2, 0, 1, 2}, ones(6), new float[0]), logits);
    assertThat(tally.result(0)).containsOnlyKeys("macroAccuracy", "macroF1");
    assertThat(tally.result(0).get("macroF1")).isCloseTo(0.8 / 3, EXACT);
  }

  /** With ties, labels that are not known, and one that never occurs. */
  @Test
  void labelsAreMeasuredOneByOne() {
    int rows = 40;
    int labels = 4;
    SplittableRandom random = new SplittableRandom(3);
    float[] logits = new float[rows * labels];
    float[] targets = new float[rows * labels];
    float[] weights = ones(rows * labels);
    for (int i = 0; i < logits.length; i++) {
      targets[i] = i % labels == 3 || random.nextInt(3) > 0 ? 0 : 1;
      logits[i] = i % labels == 3 ? -1 : random.nextInt(7) - 3 + targets[i];
      weights[i] = random.nextInt(8) == 0 ? 0 : 1;
    }
    FlagTally tally = new FlagTally(labels);
    tally.add(of(rows, new int[0], weights, targets), logits);
    double area = 0;
    double macro = 0;
    double[] all = new double[3];
    for (int label = 0; label < 3; label++) {
      double won = 0;
      double pairs = 0;
      double[] counts = new double[3]; // right, guessed, there
      for (int i = label; i < logits.length; i += labels) {
        counts[0] += weights[i] * (logits[i] > 0 ? targets[i] : 0);
        counts[1] += weights[i] * (logits[i] > 0 ? 1 : 0);
        counts[2] += weights[i] * targets[i];
        for (int j = label; j < logits.length; j += labels) {
          if (weights[i] * weights[j] > 0 && targets[i] > targets[j]) {
            pairs++;
            won += logits[i] > logits[j] ? 1 : logits[i] == logits[j] ? 0.5 : 0;
          }
        }
      }
      area += won / pairs / 3;
      macro += 2 * counts[0] / (counts[1] + counts[2]) / 3;
      for (int k = 0; k < 3; k++) {
        all[k] += counts[k];
      }
    }
    Map<String, Double> measures = tally.result(0);
    assertThat(measures.get("auroc")).isCloseTo(area, EXACT);
    assertThat(measures.get("macroF1")).isCloseTo(macro, EXACT);
    assertThat(measures.get("microF1")).isCloseTo(2 * all[0] / (all[1] + all[2]), EXACT);
  }

  @Test
  void severalNumbersHaveTheMeansOfEach() {
    NumbersTally tally = new NumbersTally(2);
    float[] labels = {0, 5, 1, 6, 3, 100};
    float[] weights = {1, 1, 1, 1, 1, 0};
    tally.add(of(3, new int[0], weights, labels), new float[] {0, 7, 2, 6, 3, 0});
    Map<String, Double> measures = tally.result(0);
    assertThat(measures.get("meanSquaredError")).isCloseTo((1 / 3.0 + 2) / 2, EXACT);
    assertThat(measures.get("meanAbsoluteError")).isCloseTo((1 / 3.0 + 1) / 2, EXACT);
    assertThat(measures.get("spearman")).isCloseTo((1 - 1) / 2.0, EXACT);
  }

  /** A model that diverged has no order, and must not keep anyone waiting. */
  @Test
  void whatIsNoNumberIsMeasuredToo() {
    FlagTally tally = new FlagTally(1);
    float[] none = {Float.NaN, Float.NaN, Float.NaN};
    tally.add(of(3, new int[0], ones(3), new float[] {0, 1, 1}), none);
    assertThat(tally.result(Double.NaN)).containsKey("auroc");
    NumbersTally numbers = new NumbersTally(1);
    numbers.add(of(3, new int[0], ones(3), new float[] {0, 1, 2}), none);
    assertThat(numbers.result(Double.NaN)).doesNotContainKey("pearson");
  }
}
