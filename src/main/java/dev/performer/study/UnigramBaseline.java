package dev.performer.study;

import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeData;
import dev.performer.training.BatchSource;
import dev.performer.training.LabelledBatch;
import dev.performer.training.Measures;
import dev.performer.training.ModelTraining;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.run.Evaluation;
import java.util.Arrays;
import java.util.Map;

/**
 * The paper's empirical baseline: every guess is how often tokens occur in training. Nothing is
 * learnt of their order. Of numbers, every guess is their mean in training.
 */
public final class UnigramBaseline {
  private static final int TRAINING_BATCHES = 500;

  private UnigramBaseline() {}

  /**
   * Counts the right answers of training, one of each added, and evaluates them on the same guesses
   * as a model.
   *
   * @param recipe of a language model or a regression
   */
  public static Evaluation of(Recipe recipe) {
    ModelTraining.Data batches =
        recipe.data().batches(recipe.batchSize(), recipe.training().seed());
    if (recipe.task().hasNumbers()) {
      try (BatchSource validation =
          TokenBatchSource.evaluation(batches.validation(), recipe.objective())) {
        return ofMean(validation, recipe.training().evaluationBatches());
      }
    }
    double[] counts = new double[recipe.model().vocabularySize()];
    Arrays.fill(counts, 1);
    try (BatchSource train = TokenBatchSource.evaluation(batches.train(), recipe.objective())) {
      for (int n = 0; n < TRAINING_BATCHES && train.hasNext(); n++) {
        count(train.next(), counts);
      }
    }
    double[] costs = new double[counts.length];
    double total = Arrays.stream(counts).sum();
    int likeliest = 0;
    for (int i = 0; i < counts.length; i++) {
      costs[i] = -Math.log(counts[i] / total);
      likeliest = costs[i] < costs[likeliest] ? i : likeliest;
    }
    try (BatchSource validation =
        TokenBatchSource.evaluation(batches.validation(), recipe.objective())) {
      return evaluate(recipe, validation, costs, likeliest);
    }
  }

  /** Standardized numbers have the mean 0. */
  private static Evaluation ofMean(BatchSource validation, int limit) {
    long start = System.nanoTime();
    double squares = 0;
    double total = 0;
    long sequences = 0;
    for (int n = 0; (limit == 0 || n < limit) && validation.hasNext(); n++) {
      LabelledBatch batch = validation.next();
      for (int i = 0; i < batch.weights().length; i++) {
        squares += batch.weights()[i] * Math.pow(batch.numbers()[i], 2);
        total += batch.weights()[i];
      }
      sequences += batch.rows();
    }
    return new Evaluation(
        squares / total,
        Double.NaN,
        Double.NaN,
        Math.round(total),
        sequences,
        (System.nanoTime() - start) / 1e9);
  }

  private static void count(LabelledBatch batch, double[] counts) {
    for (int i = 0; i < batch.targets().length; i++) {
      counts[batch.targets()[i]] += batch.weights()[i];
    }
  }

  private static Evaluation evaluate(
      Recipe recipe, BatchSource validation, double[] costs, int likeliest) {
    int limit = recipe.training().evaluationBatches();
    long start = System.nanoTime();
    double loss = 0;
    double right = 0;
    double guesses = 0;
    long sequences = 0;
    for (int n = 0; (limit == 0 || n < limit) && validation.hasNext(); n++) {
      LabelledBatch batch = validation.next();
      for (int i = 0; i < batch.targets().length; i++) {
        float weight = batch.weights()[i];
        loss += weight * costs[batch.targets()[i]];
        right += batch.targets()[i] == likeliest ? weight : 0;
        guesses += weight;
      }
      sequences += batch.rows();
    }
    double mean = loss / guesses;
    return new Evaluation(
        mean,
        right / guesses,
        Math.exp(mean),
        Math.round(guesses),
        sequences,
        (System.nanoTime() - start) / 1e9,
        recipe.data().kind() == RecipeData.Kind.PIXELS ? Measures.ofBits(mean) : Map.of());
  }
}
