package dev.performer.serving;

import dev.performer.PerformerException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;

/**
 * How the next token is chosen from logits.
 *
 * @param greedy the most likely token, whatever the rest says but the penalty
 * @param temperature divides the logits; above 0
 * @param topK only the k most likely tokens; 0 for all
 * @param topP only the most likely tokens whose probabilities sum to p; 1 for all
 * @param repetitionPenalty for tokens within the window: positive logits are divided by it,
 *     negative ones multiplied (arXiv 1909.05858); 1 for none
 * @param repetitionWindow how many of the last tokens count; 0 for all
 * @param seed of the random numbers; every prompt has its own
 */
public record Sampling(
    boolean greedy,
    double temperature,
    int topK,
    double topP,
    double repetitionPenalty,
    int repetitionWindow,
    long seed) {

  /**
   * @throws PerformerException if a number is out of range
   */
  public Sampling {
    require(temperature > 0 && temperature < Double.POSITIVE_INFINITY, "temperature", "above 0");
    require(topK >= 0, "top-k", "0 (all) or more");
    require(topP > 0 && topP <= 1, "top-p", "above 0 and at most 1");
    require(
        repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY,
        "repetition-penalty",
        "above 0");
    require(repetitionWindow >= 0, "repetition-window", "0 (all) or more");
  }

  private static void require(boolean holds, String name, String range) {
    if (!holds) {
      throw new PerformerException(name + " must be " + range);
    }
  }

  /** The most likely token each time. */
  public static Sampling mostLikely() {
    return new Sampling(true, 1, 0, 1, 1, 0, 0);
  }

  /**
   * Chooses.
   *
   * @param logits {@code [V]}
   * @param before the tokens so far
   * @param forbidden tokens that are never chosen
   * @throws PerformerException if no logit is a number
   */
  public int next(
      float[] logits, List<Integer> before, Set<Integer> forbidden, RandomGenerator random) {
    double[] scores = scores(logits, before, forbidden);
    int[] order = order(scores);
    if (order.length == 0) {
      throw new PerformerException(
          "the model gives no number as a logit (NaN); its weights are damaged");
    }
    if (greedy) {
      return order[0];
    }
    int count = topK == 0 ? order.length : Math.min(topK, order.length);
    double[] weights = new double[count];
    double sum = 0;
    for (int i = 0; i < count; i++) {
      weights[i] = Math.exp((scores[order[i]] - scores[order[0]]) / temperature);
      sum += weights[i];
    }
    double kept = 0;
    int last = 0;
    for (int i = 0; i < count; i++) {
      kept += weights[i];
      last = i;
      if (kept >= topP * sum) {
        break;
      }
    }
    double point = random.nextDouble() * kept;
    for (int i = 0; i <= last; i++) {
      point -= weights[i];
      if (point < 0) {
        return order[i];
      }
    }
    return order[last];
  }

  private double[] scores(float[] logits, List<Integer> before, Set<Integer> forbidden) {
    double[] scores = new double[logits.length];
    for (int i = 0; i < logits.length; i++) {
      scores[i] = forbidden.contains(i) ? Double.NaN : logits[i];
    }
    int from = repetitionWindow == 0 ? 0 : Math.max(0, before.size() - repetitionWindow);
    before.subList(from, before.size()).stream()
        .distinct()
        .forEach(
            id ->
                scores[id] =
                    scores[id] > 0
                        ? scores[id] / repetitionPenalty
                        : scores[id] * repetitionPenalty);
    return scores;
  }

  /** Tokens that may come, most likely first, lower ids first among equals. */
  private static int[] order(double[] scores) {
    Integer[] ids = new Integer[scores.length];
    Arrays.setAll(ids, i -> i);
    return Arrays.stream(ids)
        .filter(i -> !Double.isNaN(scores[i]))
        .sorted(Comparator.comparingDouble(i -> -scores[i]))
        .mapToInt(i -> i)
        .toArray();
  }
}
