package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.Batches;
import dev.performer.training.run.Evaluation;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Session;

/**
 * Loss, accuracy and perplexity of a language model over a data set. Sums run over all guesses of
 * all batches in float64, so the result does not depend on how sequences were batched. What a
 * masked model has to guess is fixed by the seed: two evaluations of the same data are comparable.
 */
public final class Evaluator {
  /** Of the masks; any number will do, as long as it stays. */
  public static final long DEFAULT_SEED = 20_200_930;

  private final Trainable trainable;
  private final Objective objective;
  private final long seed;

  /** Adds the loss to the model's graph. */
  public Evaluator(LanguageModel model, Objective objective, long seed) {
    this.trainable = Trainable.of(model);
    this.objective = objective;
    this.seed = seed;
  }

  /**
   * Evaluates a model with the weights it came with.
   *
   * @param batches from {@link dev.performer.data.Batching#forEvaluation}
   * @throws PerformerException if there is nothing to guess, or the model cannot run the batches
   */
  public static Evaluation evaluate(
      LanguageModel model, Objective objective, Batches batches, long seed) {
    Evaluator evaluator = new Evaluator(model, objective, seed);
    try (Session session = new Session(model.graph(), false)) {
      model.initializer().accept(session);
      return evaluator.evaluate(session, batches);
    }
  }

  /** Evaluates with the weights of a session over all batches. */
  public Evaluation evaluate(Session session, Batches batches) {
    return evaluate(session, batches, 0, () -> false).orElseThrow();
  }

  /**
   * Evaluates with the weights of a session.
   *
   * @param limit batches at most; 0 for all
   * @param stop asked before each batch
   * @return empty if it was stopped
   */
  public Optional<Evaluation> evaluate(
      Session session, Batches batches, int limit, BooleanSupplier stop) {
    try (BatchSource source = TokenBatchSource.evaluation(batches, objective, seed)) {
      return new TrainerEvaluator(trainable, source, limit).evaluate(session, stop);
    }
  }
}
