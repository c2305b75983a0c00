package dev.performer.distill;

import dev.performer.PerformerException;
import dev.performer.graph.Tensors;
import dev.performer.training.Feed;
import dev.performer.training.LabelledBatch;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Validation;
import dev.performer.training.run.Evaluation;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.zip.CRC32;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;

/**
 * Measures a student on held-out sequences, always the same ones with the same masks.
 *
 * @param target at which training ends; null for none
 */
record DistillEvaluator(
    DistillGraph graph, DistillData data, List<LabelledBatch> batches, Double target)
    implements Validation {
  private static final long SEED = TokenBatchSource.EVALUATION_SEED;

  static DistillEvaluator of(DistillGraph graph, DistillData data, DistillRecipe recipe) {
    var some = data.validation().atMost(recipe.evaluation().sequences());
    var batches = data.batches(some, recipe.batchTokens(), SEED);
    var labelled = batches.inOrder().stream().map(b -> data.label(b, SEED, 0)).toList();
    return new DistillEvaluator(graph, data, labelled, recipe.evaluation().target());
  }

  @Override
  public Optional<Evaluation> evaluate(Session session, BooleanSupplier stop) {
    long start = System.nanoTime();
    Sums sums = new Sums();
    for (LabelledBatch batch : batches) {
      if (stop.getAsBoolean()) {
        return Optional.empty();
      }
      add(session, batch, sums);
    }
    DistillEvaluation measured =
        sums.evaluation(data.guesses().isPresent(), (System.nanoTime() - start) / 1e9);
    PerformerException.require(
        measured.isFinite(),
        "the student computes numbers that are not finite on %s; check the conversion, or lower"
            + " training.learningRate and resume",
        data.validation().name());
    return Optional.of(measured.evaluation(Math.round(sums.guesses())));
  }

  @Override
  public String fingerprint() {
    CRC32 sum = new CRC32();
    batches.forEach(batch -> batch.addTo(sum));
    return Long.toHexString(sum.getValue());
  }

  @Override
  public double distance(Evaluation evaluation) {
    return DistillEvaluation.of(evaluation).distance();
  }

  @Override
  public boolean isEnough(Evaluation best) {
    return target != null && DistillEvaluation.of(best).reached() >= target;
  }

  @Override
  public String describe(Evaluation evaluation) {
    DistillEvaluation e = DistillEvaluation.of(evaluation);
    String format = "cosine to the teacher %.4f (lowest %.4f)  hidden %.3f  attention %.3f";
    String text =
        String.format(Locale.ROOT, format, e.cosine(), e.lowestCosine(), e.hidden(), e.attention());
    if (e.accuracy() == null) {
      return text;
    }
    long guesses = evaluation.guesses();
    double share = e.accuracy();
    return text
        + String.format(
            Locale.ROOT,
            "  divergence %.4f  accuracy %.1f %% of the teacher's %.1f %% (± %.1f, %d guesses)",
            e.divergence(),
            100 * share,
            100 * e.teacherAccuracy(),
            100 * Math.sqrt(share * (1 - share) / Math.max(1, guesses)),
            guesses);
  }

  @Override
  public String plotted() {
    return "cosine";
  }

  private void add(Session session, LabelledBatch batch, Sums sums) {
    try (Feed feed = graph.feed(batch)) {
      DistillLoss loss = graph.loss();
      Session.Runner runner =
          session.runner().fetch(loss.loss()).fetch(loss.sums()).fetch(loss.cosines());
      feed.into(runner);
      try (Result result = runner.run()) {
        sums.add(
            Tensors.floats(result.get(0))[0],
            Tensors.doubles(result.get(1)),
            Tensors.floats(result.get(2)));
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw batch.failed("evaluation", e);
      }
    }
  }

  /** Means weigh batches by their tokens, cosines by sequences. */
  private static final class Sums {
    private final double[] sums = new double[7]; // as in a loss; its means times real tokens
    private final DoubleSummaryStatistics cosines = new DoubleSummaryStatistics();
    private double loss;

    void add(double batchLoss, double[] batch, float[] rows) {
      double real = batch[3];
      loss += batchLoss * real;
      for (int i = 0; i < sums.length; i++) {
        sums[i] += i < 2 ? batch[i] * real : batch[i];
      }
      for (float cosine : rows) {
        cosines.accept(cosine);
      }
    }

    double guesses() {
      return sums[6];
    }

    DistillEvaluation evaluation(boolean isLanguageModel, double seconds) {
      double tokens = sums[3];
      double all = Math.max(1, guesses());
      return new DistillEvaluation(
          loss / tokens,
          sums[0] / tokens,
          sums[1] / tokens,
          cosines.getAverage(),
          cosines.getMin(),
          isLanguageModel ? sums[2] / tokens : null,
          isLanguageModel ? sums[4] / all : null,
          isLanguageModel ? sums[5] / all : null,
          cosines.getCount(),
          seconds);
    }
  }
}
