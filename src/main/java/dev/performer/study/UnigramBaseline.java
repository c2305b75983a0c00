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
import java.util.Comparator;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The paper's empirical baseline: every guess is how often tokens occur in training, whatever their
 * order. Of numbers, every guess is their mean in training.
 */
public final class UnigramBaseline {
  private static final int TRAINING_BATCHES = 500;

  private UnigramBaseline() {}

  /**
   * Counts the right answers of training, one of each added, and evaluates them on the same guesses
   * as the model of a recipe: a language model or a regression.
   */
  public static Evaluation of(Recipe recipe) {
    var batches = recipe.data().batches(recipe.batchSize(), recipe.training().seed());
    boolean numbers = recipe.task().hasNumbers(); // standardized ones, of which the mean is 0
    double[] costs = numbers ? null : costs(recipe, batches);
    var cheapestFirst = Comparator.comparingDouble((Integer i) -> costs[i]);
    int likeliest =
        numbers ? -1 : IntStream.range(0, costs.length).boxed().min(cheapestFirst).orElseThrow();
    int limit = recipe.training().evaluationBatches();
    long start = System.nanoTime();
    double loss = 0;
    double right = 0;
    double guesses = 0;
    long sequences = 0;
    var objective = recipe.objective();
    try (var validation = TokenBatchSource.evaluation(batches.validation(), objective)) {
      for (int n = 0; (limit == 0 || n < limit) && validation.hasNext(); n++) {
        LabelledBatch batch = validation.next();
        for (int i = 0; i < batch.weights().length; i++) {
          float weight = batch.weights()[i];
          loss += weight * (numbers ? Math.pow(batch.numbers()[i], 2) : costs[batch.targets()[i]]);
          right += !numbers && batch.targets()[i] == likeliest ? weight : 0;
          guesses += weight;
        }
        sequences += batch.rows();
      }
    }
    double mean = loss / guesses;
    double accuracy = numbers ? Double.NaN : right / guesses;
    double perplexity = numbers ? Double.NaN : Math.exp(mean);
    double seconds = (System.nanoTime() - start) / 1e9;
    boolean isImage = !numbers && recipe.data().kind() == RecipeData.Kind.PIXELS;
    Map<String, Double> more = isImage ? Measures.ofBits(mean) : Map.of();
    return new Evaluation(
        mean, accuracy, perplexity, Math.round(guesses), sequences, seconds, more);
  }

  /** −ln of each token's share of the right answers. */
  private static double[] costs(Recipe recipe, ModelTraining.Data batches) {
    double[] counts = new double[recipe.model().vocabularySize()];
    Arrays.fill(counts, 1);
    try (BatchSource train = TokenBatchSource.evaluation(batches.train(), recipe.objective())) {
      for (int n = 0; n < TRAINING_BATCHES && train.hasNext(); n++) {
        LabelledBatch batch = train.next();
        for (int i = 0; i < batch.targets().length; i++) {
          counts[batch.targets()[i]] += batch.weights()[i];
        }
      }
    }
    double total = Arrays.stream(counts).sum();
    return Arrays.stream(counts).map(count -> -Math.log(count / total)).toArray();
  }
}
