package dev.performer.serving;

import static dev.performer.PerformerException.require;
import static java.lang.Double.isFinite;
import static java.lang.Float.NEGATIVE_INFINITY;

import dev.performer.PerformerException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/**
 * How the next token is chosen from logits. Infinite logits count as they read: +∞ beats every
 * number (several share the probability), −∞ never comes. NaN is an error.
 *
 * @param greedy the most likely token, whatever the rest is, but for the penalty
 * @param temperature divides the logits; 0 is greedy
 * @param topK only the k most likely tokens; 0, or as many as there are and more, for all
 * @param topP only the most likely tokens whose probabilities sum to p, at least one; 1 for all
 * @param repetitionPenalty for tokens within the window: positive logits are divided by it,
 *     negative ones multiplied (arXiv 1909.05858); 1 for none
 * @param repetitionWindow how many of the last tokens count; 0 for all
 * @param presencePenalty taken off the logits of tokens that were chosen before
 * @param frequencyPenalty the same, for each time that they were
 * @param logitBias what is added to the logits of some tokens first; −100 bans one
 * @param seed of the random numbers; every prompt has its own
 */
public record Sampling(
    boolean greedy,
    double temperature,
    int topK,
    double topP,
    double repetitionPenalty,
    int repetitionWindow,
    double presencePenalty,
    double frequencyPenalty,
    Map<Integer, Double> logitBias,
    long seed)
    implements Sampler {
  /** Checks ranges. @throws PerformerException if a number is out of range */
  public Sampling {
    require(isFinite(temperature) && temperature >= 0, "temperature must be 0 (greedy) or above");
    require(topK >= 0, "top-k must be 0 (all) or more");
    require(topP >= 0 && topP <= 1, "top-p must be from 0 to 1");
    boolean isPenalty = isFinite(repetitionPenalty) && repetitionPenalty > 0;
    require(isPenalty, "repetition-penalty must be above 0");
    require(repetitionWindow >= 0, "repetition-window must be 0 (all) or more");
    require(isFinite(presencePenalty), "presence-penalty must be a number");
    require(isFinite(frequencyPenalty), "frequency-penalty must be a number");
    logitBias = Map.copyOf(logitBias);
    boolean isBias = logitBias.values().stream().allMatch(bias -> isFinite(bias));
    require(isBias, "each bias of a logit must be a number");
  }

  /** Without presence and frequency penalties, and biases. */
  public Sampling(
      boolean greedy,
      double temperature,
      int topK,
      double topP,
      double repetitionPenalty,
      int repetitionWindow,
      long seed) {
    this(
        greedy, temperature, topK, topP, repetitionPenalty, repetitionWindow, 0, 0, Map.of(), seed);
  }

  /** Draws from the model's own probabilities, with seed 0. */
  public static final Sampling DEFAULT = new Sampling(false, 1, 0, 1, 1, 0, 0);

  /** The most likely token each time. */
  public static Sampling mostLikely() {
    return DEFAULT.withGreedy(true);
  }

  /** The same, taking the most likely token each time, or drawing. */
  public Sampling withGreedy(boolean value) {
    return with(value, temperature, topK, topP, repetitionPenalty, repetitionWindow, seed);
  }

  /** The same at another temperature. */
  public Sampling withTemperature(double value) {
    return with(greedy, value, topK, topP, repetitionPenalty, repetitionWindow, seed);
  }

  /** The same from the k most likely tokens; 0 for all. */
  public Sampling withTopK(int k) {
    return with(greedy, temperature, k, topP, repetitionPenalty, repetitionWindow, seed);
  }

  /** The same from the most likely tokens whose probabilities sum to p; 1 for all. */
  public Sampling withTopP(double p) {
    return with(greedy, temperature, topK, p, repetitionPenalty, repetitionWindow, seed);
  }

  /**
   * The same with a penalty for repeated tokens.
   *
   * @param penalty above 1 makes them less likely; 1 for none
   * @param window how many of the last tokens count; 0 for all
   */
  public Sampling withRepetitionPenalty(double penalty, int window) {
    return with(greedy, temperature, topK, topP, penalty, window, seed);
  }

  /** The same with other random numbers. */
  public Sampling withSeed(long seed) {
    return with(greedy, temperature, topK, topP, repetitionPenalty, repetitionWindow, seed);
  }

  /** The same with what is taken off the logits of tokens that were chosen before; 0 for none. */
  public Sampling withPenalties(double presence, double frequency) {
    return with(presence, frequency, logitBias);
  }

  /**
   * The same with what is added to the logits of some tokens; ids that are no index of one change
   * nothing.
   */
  public Sampling withLogitBias(Map<Integer, Double> biases) {
    return with(presencePenalty, frequencyPenalty, biases);
  }

  private Sampling with(
      boolean isGreedy, double heat, int k, double p, double penalty, int window, long randomSeed) {
    return new Sampling(
        isGreedy,
        heat,
        k,
        p,
        penalty,
        window,
        presencePenalty,
        frequencyPenalty,
        logitBias,
        randomSeed);
  }

  private Sampling with(double presence, double frequency, Map<Integer, Double> biases) {
    return new Sampling(
        greedy,
        temperature,
        topK,
        topP,
        repetitionPenalty,
        repetitionWindow,
        presence,
        frequency,
        biases,
        seed);
  }

  /** Every prompt has random numbers of its own, whatever the batch that it is in. */
  @Override
  public Choice begin(int firstRow, int rows) {
    var random = IntStream.range(firstRow, firstRow + rows).mapToObj(this::random).toList();
    List<Map<Integer, Integer>> chosen = random.stream().map(own -> newCounts()).toList();
    return (row, logits, before, forbidden) -> {
      var counts = chosen.get(row);
      int token = next(logits, before, counts, forbidden, random.get(row));
      counts.merge(token, 1, Integer::sum);
      return token;
    };
  }

  private static Map<Integer, Integer> newCounts() {
    return new HashMap<>();
  }

  /** Two rounds: rows of neighbouring seeds must not meet. */
  private RandomGenerator random(int row) {
    return new SplittableRandom(
        new SplittableRandom(seed).nextLong() ^ new SplittableRandom(~(long) row).nextLong());
  }

  /**
   * Chooses.
   *
   * @param logits {@code [V]}
   * @param before the tokens so far; those that are no index of a logit change nothing
   * @param forbidden tokens that are never chosen
   * @throws PerformerException if a logit is NaN, or no token may come
   */
  public int next(
      float[] logits, List<Integer> before, Set<Integer> forbidden, RandomGenerator random) {
    return next(logits, before, Map.of(), forbidden, random);
  }

  /**
   * @param chosen how often tokens were, for the presence and frequency penalties
   */
  private int next(
      float[] logits,
      List<Integer> before,
      Map<Integer, Integer> chosen,
      Set<Integer> forbidden,
      RandomGenerator random) {
    int[] candidates = candidates(logits, forbidden);
    double[] scores = scores(logits, before, chosen);
    return greedy || temperature == 0
        ? mostLikely(candidates, scores)
        : draw(mostProbable(topK(candidates, scores), scores), scores, random);
  }

  /** Tokens that may come. */
  static int[] candidates(float[] logits, Set<Integer> forbidden) {
    String damaged = "the logit of token %d is not a number (NaN); the model's weights are damaged";
    for (int id = 0; id < logits.length; id++) {
      if (Float.isNaN(logits[id])) {
        throw new PerformerException(damaged.formatted(id));
      }
    }
    boolean[] never = new boolean[logits.length];
    for (int id : forbidden) {
      if (id >= 0 && id < never.length) {
        never[id] = true;
      }
    }
    int[] candidates =
        IntStream.range(0, logits.length)
            .filter(id -> logits[id] != NEGATIVE_INFINITY && !never[id])
            .toArray();
    String none = "no token may come: each is forbidden or has the logit -Infinity";
    require(candidates.length > 0, none);
    return candidates;
  }

  private double[] scores(float[] logits, List<Integer> before, Map<Integer, Integer> chosen) {
    double[] scores = new double[logits.length];
    for (int i = 0; i < logits.length; i++) {
      scores[i] = logits[i];
    }
    logitBias.forEach(
        (id, bias) -> {
          if (id >= 0 && id < scores.length) {
            scores[id] += bias;
          }
        });
    if (repetitionPenalty != 1) {
      for (int id : recent(before, repetitionWindow)) {
        if (id >= 0 && id < scores.length) {
          scores[id] *= scores[id] > 0 ? 1 / repetitionPenalty : repetitionPenalty;
        }
      }
    }
    if (presencePenalty != 0 || frequencyPenalty != 0) {
      chosen.forEach((id, count) -> scores[id] -= presencePenalty + count * frequencyPenalty);
    }
    return scores;
  }

  /** The different ones among the last tokens; all for 0. */
  static Set<Integer> recent(List<Integer> before, int window) {
    int from = window == 0 ? 0 : Math.max(0, before.size() - window);
    return new HashSet<>(before.subList(from, before.size()));
  }

  private static int mostLikely(int[] candidates, double[] scores) {
    int best = candidates[0];
    for (int id : candidates) {
      best = scores[id] > scores[best] || scores[id] == scores[best] && id < best ? id : best;
    }
    return best;
  }

  private int[] topK(int[] candidates, double[] scores) {
    if (topK == 0 || topK >= candidates.length) {
      return candidates;
    }
    var order = new LikeliestFirst(candidates, scores);
    return IntStream.generate(order::next).limit(topK).toArray();
  }

  /** Those of top p. */
  private int[] mostProbable(int[] candidates, double[] scores) {
    if (topP == 1) {
      return candidates;
    }
    double largest = scores[mostLikely(candidates, scores)];
    double limit = topP * sum(candidates, scores, largest);
    var order = new LikeliestFirst(candidates, scores);
    int[] kept = new int[candidates.length];
    int size = 0;
    double sum = 0;
    do {
      kept[size] = order.next();
      sum += weight(scores[kept[size++]], largest);
    } while (size < kept.length && sum < limit);
    return Arrays.copyOf(kept, size);
  }

  private int draw(int[] candidates, double[] scores, RandomGenerator random) {
    int first = mostLikely(candidates, scores);
    double point = random.nextDouble() * sum(candidates, scores, scores[first]);
    var order = new LikeliestFirst(candidates, scores);
    for (int n = candidates.length; n > 0; n--) {
      int id = order.next();
      point -= weight(scores[id], scores[first]);
      if (point < 0) {
        return id;
      }
    }
    return first; // rounding only: the first has the largest weight
  }

  private double sum(int[] candidates, double[] scores, double largest) {
    double sum = 0;
    for (int id : candidates) {
      sum += weight(scores[id], largest);
    }
    return sum;
  }

  private double weight(double score, double largest) {
    // Equal ones are no difference of infinities.
    return score == largest ? 1 : Math.exp((score - largest) / temperature);
  }
}
