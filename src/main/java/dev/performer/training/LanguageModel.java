package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.TokenBatch;
import dev.performer.data.Vocabulary;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.savedmodel.InputFeed;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.training.run.Evaluation;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.types.TFloat32;

/**
 * What can be trained on token sequences: a graph that maps tokens to logits, differentiable with
 * respect to its variables. The graph is owned by whoever made this.
 *
 * @param tokens placeholder, {@code [B, L]}, int32 or int64
 * @param mask placeholder {@code [B, L]} of any numeric type, 1 at real tokens, if there is one
 * @param others placeholders of other inputs, which are fed what an {@link InputFeed} has for them
 * @param logits {@code [B, L, vocabulary]}
 * @param initializer gives a new session's variables their values
 */
public record LanguageModel(
    Graph graph,
    Output<?> tokens,
    Optional<Output<?>> mask,
    Map<TensorSpec, Output<?>> others,
    Output<TFloat32> logits,
    List<Variable> variables,
    Consumer<Session> initializer) {
  /** The same graph with other variables, such as fewer that are trained. */
  public LanguageModel withVariables(List<Variable> other) {
    return new LanguageModel(graph, tokens, mask, others, logits, other, initializer);
  }

  /** The same with other logits, such as a copy of them. */
  LanguageModel withLogits(Output<TFloat32> other) {
    return new LanguageModel(graph, tokens, mask, others, other, variables, initializer);
  }

  /** The batching this model takes: its graph may fix length or number of sequences. */
  public Batching fit(Batching batching) {
    Batching ofLength = fixed(1) > 0 ? batching.withFixedLength(fixed(1)) : batching;
    return fixed(0) > 0 ? ofLength.withSize(new BatchSize.Sequences(fixed(0))) : ofLength;
  }

  /** Evaluates on batches for evaluation with the model's own weights. @param seed of masks */
  public Evaluation evaluate(Objective objective, Batches batches, long seed) {
    return evaluate(objective, batches, seed, sums -> {});
  }

  /** The same, where {@code each} learns the sums of a batch, as in {@link Validation}. */
  public Evaluation evaluate(
      Objective objective, Batches batches, long seed, Consumer<double[]> each) {
    Trainable trainable = Trainable.of(this);
    try (BatchSource source = TokenBatchSource.evaluation(batches, objective, seed);
        Session session = new Session(graph, false)) {
      initializer.accept(session);
      var validation = Validation.of(trainable, source, 0, trainable.measures(), each);
      return validation.evaluate(session, () -> false).orElseThrow();
    }
  }

  /** Runs the model on a batch as it stands: logits {@code [B, L, vocabulary]} in C order. */
  public float[] logits(Session session, TokenBatch batch) {
    try (Feed feed = Feed.of(this, batch.tokens(), batch.mask(), batch.rows(), batch.length());
        var result = feed.run(session, List.of(logits))) {
      return Tensors.floats(result.get(0));
    }
  }

  /** The number of sequences that every batch must have, or 0 if any will do. */
  int fixedRows() {
    return fixed(0);
  }

  /** Fails if the vocabulary has tokens that the model does not know; spare logits are fine. */
  void check(Vocabulary vocabulary) {
    var shape = logits.shape();
    check(vocabulary.size(), shape.isUnknown() ? -1 : shape.get(shape.numDimensions() - 1));
  }

  static void check(int tokens, long logits) {
    if (logits > 0 && logits < tokens) {
      String text =
          "the vocabulary has %d tokens, but the model's logits only %d; give the model's own";
      throw new PerformerException(text.formatted(tokens, logits)).settledBy("vocabulary");
    }
  }

  private int fixed(int dimension) {
    var shape = tokens.shape();
    return shape.isUnknown() ? 0 : (int) Math.max(0, shape.get(dimension));
  }
}
