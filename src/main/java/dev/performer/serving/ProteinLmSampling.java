package dev.performer.serving;

import static dev.performer.PerformerException.require;

import dev.performer.attention.projection.Threefry;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * The draws of Google's protein_lm, number by number: {@code FlaxLM.sample_with_prompt} with {@code
 * rng = PRNGKey(seed)} on one device. A row's numbers depend on how many rows are drawn together.
 *
 * @param temperature divides the logits; above 0
 * @param topK tokens below the k-th largest logit never come; 0 for all
 * @param repetitionPenalty 1 for none
 * @param repetitionWindow how many of the last tokens the penalty looks at
 * @param normalize whether the penalty is applied to log-probabilities in place of logits
 * @param stream of JAX's generator: legacy when the models were published
 * @param seed of the key
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/protein_lm/sampling.py">sampling.py</a>
 */
public record ProteinLmSampling(
    double temperature,
    int topK,
    double repetitionPenalty,
    int repetitionWindow,
    boolean normalize,
    Threefry.Stream stream,
    int seed)
    implements Sampler {
  private static final float NEVER = -1e12f;

  /** Google's window where none is given. */
  public static final int DEFAULT_WINDOW = 4;

  /** Checks ranges. @throws PerformerException if a number is out of range */
  public ProteinLmSampling {
    require(isPositive(temperature), "temperature must be above 0 with the sampler protein-lm");
    require(topK >= 0, "top-k must be 0 (all) or more");
    require(isPositive(repetitionPenalty), "repetition-penalty must be above 0");
    String window = "repetition-window must be at least 1 with the sampler protein-lm";
    require(repetitionWindow >= 1, window);
  }

  private static boolean isPositive(double value) {
    return (float) value > 0 && Float.isFinite((float) value);
  }

  /** The draws of a batch, which must be the first and all there is. */
  @Override
  public Choice begin(int firstRow, int rows) {
    String all = "the sampler protein-lm draws for all prompts together; give them in one batch";
    require(firstRow == 0, all);
    Draws draws = new Draws(rows);
    return (row, logits, before, forbidden) -> {
      Sampling.candidates(logits, forbidden); // the model's damage is no choice
      return choose(scores(logits, before, forbidden), draws.at(before.size(), row));
    };
  }

  /** All: a row's numbers depend on how many rows there are. */
  @Override
  public int batch(int wished, int all) {
    return all;
  }

  /** One key a position, prompts included, each split off the one before. */
  private final class Draws {
    private final int rows;
    private final List<float[]> drawn = new ArrayList<>();
    private Threefry rest = Threefry.ofSeed(stream, seed).split(1)[0]; // the device's share

    private Draws(int rows) {
      this.rows = rows;
    }

    private float at(int position, int row) {
      while (drawn.size() <= position) {
        Threefry[] keys = rest.split(2);
        rest = keys[1];
        drawn.add(keys[0].uniform(rows));
      }
      return drawn.get(position)[row];
    }
  }

  /** In Google's order: temperature, forbidden tokens, penalty, top k. */
  private float[] scores(float[] logits, List<Integer> before, Set<Integer> forbidden) {
    float[] scores = new float[logits.length];
    for (int id = 0; id < scores.length; id++) {
      scores[id] = logits[id] / (float) temperature + (forbidden.contains(id) ? NEVER : 0);
    }
    if (repetitionPenalty != 1) {
      penalize(scores, before);
    }
    if (topK > 0 && topK < scores.length) {
      float[] sorted = scores.clone();
      Arrays.sort(sorted);
      float least = sorted[sorted.length - topK];
      for (int id = 0; id < scores.length; id++) {
        scores[id] = scores[id] < least ? NEVER : scores[id];
      }
    }
    return scores;
  }

  private void penalize(float[] scores, List<Integer> before) {
    if (normalize) { // to log-probabilities
      float largest = largest(scores);
      float sum = 0;
      for (float score : scores) {
        sum += (float) Math.exp(score - largest);
      }
      for (int id = 0; id < scores.length; id++) {
        scores[id] = scores[id] - largest - (float) Math.log(sum);
      }
    }
    float penalty = (float) repetitionPenalty;
    for (int id : Sampling.recent(before, repetitionWindow)) {
      if (id >= 0 && id < scores.length) {
        scores[id] /= scores[id] > 0 ? penalty : 1 / penalty;
      }
    }
  }

  /** The first whose cumulated probability reaches the draw; token 0 where rounding loses it. */
  private static int choose(float[] scores, float draw) {
    float largest = largest(scores);
    float[] weights = new float[scores.length];
    float sum = 0;
    for (int id = 0; id < scores.length; id++) {
      weights[id] = scores[id] == largest ? 1 : (float) Math.exp(scores[id] - largest);
      sum += weights[id];
    }
    float reached = 0;
    for (int id = 0; id < scores.length; id++) {
      reached += weights[id] / sum;
      if (draw <= reached) {
        return id;
      }
    }
    return 0;
  }

  private static float largest(float[] scores) {
    float largest = Float.NEGATIVE_INFINITY;
    for (float score : scores) {
      largest = Math.max(largest, score);
    }
    return largest;
  }
}
