package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchStream;
import dev.performer.data.SequenceBatches;
import dev.performer.data.TokenBatch;
import dev.performer.data.Vocabulary;
import dev.performer.graph.Tensors;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;

/**
 * Loss, accuracy and perplexity of a language model over a data set. Sums run over all guesses of
 * all batches in float64, so the result does not depend on how sequences were batched. What a
 * masked model has to guess is fixed by the seed: two evaluations of the same data are comparable.
 */
public final class Evaluator {
  /** Of the masks; any number will do, as long as it stays. */
  public static final long DEFAULT_SEED = 20_200_930;

  private final LanguageModel model;
  private final Objective objective;
  private final LossGraph loss;
  private final long seed;

  /** Adds the loss to the model's graph. */
  public Evaluator(LanguageModel model, Objective objective, long seed) {
    this(model, objective, LossGraph.build(model), seed);
  }

  Evaluator(LanguageModel model, Objective objective, LossGraph loss, long seed) {
    this.model = model;
    this.objective = objective;
    this.loss = loss;
    this.seed = seed;
  }

  /**
   * Evaluates a model with the weights it came with.
   *
   * @param batches from {@link dev.performer.data.Batching#forEvaluation}
   * @throws PerformerException if there is nothing to guess, or the model cannot run the batches
   */
  public static Evaluation evaluate(
      LanguageModel model, Objective objective, SequenceBatches batches, long seed) {
    Evaluator evaluator = new Evaluator(model, objective, seed);
    try (Session session = new Session(model.graph(), false)) {
      model.initializer().accept(session);
      return evaluator.evaluate(session, batches);
    }
  }

  /** Evaluates with the weights of a session over all batches. */
  public Evaluation evaluate(Session session, SequenceBatches batches) {
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
      Session session, SequenceBatches batches, int limit, BooleanSupplier stop) {
    long start = System.nanoTime();
    double[] sums = new double[3];
    long sequences = 0;
    try (BatchStream stream = batches.epoch(0)) {
      for (int n = 0; stream.hasNext() && (limit == 0 || n < limit); n++) {
        if (stop.getAsBoolean()) {
          return Optional.empty();
        }
        TokenBatch batch = stream.next();
        double[] batchSums = run(session, batch, batches.vocabulary());
        for (int i = 0; i < sums.length; i++) {
          sums[i] += batchSums[i];
        }
        sequences += batch.rows();
      }
    }
    if (sums[2] == 0) {
      throw new PerformerException(
          batches.name() + " holds nothing to guess: no sequence, or none of two letters or more");
    }
    double mean = sums[0] / sums[2];
    double seconds = (System.nanoTime() - start) / 1e9;
    return Optional.of(
        new Evaluation(
            mean, sums[1] / sums[2], Math.exp(mean), Math.round(sums[2]), sequences, seconds));
  }

  /** Cross-entropy, right guesses and guesses, summed over a batch. */
  private double[] run(Session session, TokenBatch batch, Vocabulary vocabulary) {
    LabelledBatch labelled = objective.label(batch, vocabulary, seed, 0);
    try (Feed feed = Feed.of(model, loss, labelled)) {
      Session.Runner runner = session.runner();
      feed.into(runner);
      try (Result result = runner.fetch(loss.sums()).run()) {
        return Tensors.doubles(result.get(0));
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw Failures.ofRun("evaluation", labelled, e);
      }
    }
  }
}
