package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.TokenBatch;
import dev.performer.data.Vocabulary;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.training.run.Evaluation;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;

/**
 * What can be trained on token sequences: a graph that maps tokens to logits, differentiable with
 * respect to its variables. The graph is owned by whoever made this.
 *
 * @param graph the graph that holds everything below
 * @param tokens placeholder, {@code [B, L]}, int32 or int64
 * @param mask placeholder for a {@code [B, L]} mask (1 = real token) of any numeric type, where the
 *     model takes one
 * @param constantInputs other placeholders {@code [B, L]} that are fed zeros, such as token types
 * @param logits {@code [B, L, vocabulary]}
 * @param variables all variables, trainable or not
 * @param initializer gives a new session's variables their values
 */
public record LanguageModel(
    Graph graph,
    Output<?> tokens,
    Optional<Output<?>> mask,
    List<Output<?>> constantInputs,
    Output<TFloat32> logits,
    List<Variable> variables,
    Consumer<Session> initializer) {

  /**
   * The batching this model takes: where its graph fixes length or number of sequences, that is
   * used.
   */
  public Batching fit(Batching batching) {
    Batching result = batching;
    if (fixed(1) > 0) {
      result = result.withFixedLength((int) fixed(1));
    }
    if (fixed(0) > 0) {
      result = result.withSize(new BatchSize.Sequences((int) fixed(0)));
    }
    return result;
  }

  /**
   * Loss, accuracy and perplexity over a data set, with the weights the model came with. Sums run
   * over all guesses in float64, so the result does not depend on how sequences were batched. What
   * a masked model has to guess is fixed by the seed.
   *
   * @param batches from {@link Batching#forEvaluation}
   * @param seed of the masks, such as {@link TokenBatchSource#EVALUATION_SEED}
   * @throws PerformerException if there is nothing to guess, or the model cannot run the batches
   */
  public Evaluation evaluate(Objective objective, Batches batches, long seed) {
    Trainable trainable = Trainable.of(this);
    try (BatchSource source = TokenBatchSource.evaluation(batches, objective, seed);
        Session session = new Session(graph, false)) {
      initializer.accept(session);
      return Validation.of(trainable, source).evaluate(session, () -> false).orElseThrow();
    }
  }

  /**
   * Runs the model on a batch as it stands.
   *
   * @return logits {@code [B, L, vocabulary]} in C order
   */
  public float[] logits(Session session, TokenBatch batch) {
    try (Feed feed = Feed.of(this, batch.tokens(), batch.mask(), batch.rows(), batch.length())) {
      Session.Runner runner = session.runner();
      feed.into(runner);
      try (Result result = runner.fetch(logits).run()) {
        return Tensors.floats(result.get(0));
      }
    }
  }

  /** The number of sequences that every batch must have, or 0 if any will do. */
  int fixedRows() {
    return (int) fixed(0);
  }

  /**
   * @throws PerformerException if the vocabulary has tokens that the model does not know
   */
  void check(Vocabulary vocabulary) {
    Shape shape = logits.shape();
    long size = shape.isUnknown() ? -1 : shape.get(shape.numDimensions() - 1);
    if (size > 0 && size < vocabulary.size()) {
      throw new PerformerException(
          "the vocabulary has "
              + vocabulary.size()
              + " tokens, but the model's logits only "
              + size
              + "; give the vocabulary the model was trained with");
    }
  }

  private long fixed(int dimension) {
    Shape shape = tokens.shape();
    return shape.isUnknown() ? 0 : Math.max(0, shape.get(dimension));
  }
}
