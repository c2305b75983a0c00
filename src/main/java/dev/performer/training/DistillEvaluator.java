package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRowBatches;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;

/** Measures a student on held-out sequences, always the same ones with the same masks. */
record DistillEvaluator(DistillGraph graph, DistillData data, List<TokenBatch> batches) {
  private static final long SEED = Evaluator.DEFAULT_SEED;

  static DistillEvaluator of(DistillGraph graph, DistillData data, DistillRecipe recipe) {
    var some = data.validation().atMost(recipe.evaluation().sequences());
    int tokens = recipe.training().batchTokens();
    var batches = new TokenRowBatches(some, data.pad(), tokens, data.paddedLength(), SEED);
    return new DistillEvaluator(graph, data, batches.inOrder());
  }

  /**
   * @param stop asked before each batch
   * @return empty if it was stopped
   */
  Optional<DistillEvaluation> evaluate(Session session, BooleanSupplier stop) {
    long start = System.nanoTime();
    Sums sums = new Sums();
    for (TokenBatch batch : batches) {
      if (stop.getAsBoolean()) {
        return Optional.empty();
      }
      add(session, batch, sums);
    }
    return Optional.of(
        sums.evaluation(data.guesses().isPresent(), (System.nanoTime() - start) / 1e9));
  }

  private void add(Session session, TokenBatch batch, Sums sums) {
    try (DistillFeed feed = DistillFeed.of(graph, data, batch, SEED, 0)) {
      Session.Runner runner = session.runner();
      feed.into(runner);
      DistillLoss loss = graph.loss();
      try (Result result =
          runner.fetch(loss.loss()).fetch(loss.sums()).fetch(loss.cosines()).run()) {
        sums.add(
            Tensors.floats(result.get(0))[0],
            Tensors.doubles(result.get(1)),
            Tensors.floats(result.get(2)));
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw ofRun("evaluation", batch, e);
      }
    }
  }

  static PerformerException ofRun(String what, TokenBatch batch, RuntimeException e) {
    return new PerformerException(
        "%s failed on a batch of %d sequences of %d tokens; a smaller data.length or training.batchTokens may help, if memory is short: %s"
            .formatted(what, batch.rows(), batch.length(), NativeErrors.firstLine(e)),
        e);
  }

  /** Means weigh batches by their tokens, cosines by sequences. */
  private static final class Sums {
    private double loss;
    private double hidden;
    private double attention;
    private double divergence;
    private double tokens;
    private double right;
    private double rightOfTeacher;
    private double guesses;
    private double cosines;
    private double lowest = Double.POSITIVE_INFINITY;
    private long sequences;

    void add(double batchLoss, double[] sums, float[] rows) {
      double real = sums[3];
      loss += batchLoss * real;
      hidden += sums[0] * real;
      attention += sums[1] * real;
      divergence += sums[2];
      tokens += real;
      right += sums[4];
      rightOfTeacher += sums[5];
      guesses += sums[6];
      for (float cosine : rows) {
        cosines += cosine;
        lowest = Math.min(lowest, cosine);
      }
      sequences += rows.length;
    }

    DistillEvaluation evaluation(boolean isLanguageModel, double seconds) {
      double all = Math.max(1, guesses);
      return new DistillEvaluation(
          loss / tokens,
          hidden / tokens,
          attention / tokens,
          cosines / sequences,
          lowest,
          isLanguageModel ? divergence / tokens : null,
          isLanguageModel ? right / all : null,
          isLanguageModel ? rightOfTeacher / all : null,
          sequences,
          seconds);
    }
  }
}
