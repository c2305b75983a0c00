package dev.performer.distill;

import dev.performer.PerformerException;
import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRowBatches;
import dev.performer.graph.Tensors;
import dev.performer.training.Feed;
import dev.performer.training.LabelledBatch;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Validation;
import dev.performer.training.run.Evaluation;
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
    DistillGraph graph, DistillData data, List<TokenBatch> batches, Double target)
    implements Validation {
  private static final long SEED = TokenBatchSource.EVALUATION_SEED;

  static DistillEvaluator of(DistillGraph graph, DistillData data, DistillRecipe recipe) {
    var some = data.validation().atMost(recipe.evaluation().sequences());
    var batches =
        new TokenRowBatches(some, data.pad(), recipe.batchTokens(), data.paddedLength(), SEED);
    return new DistillEvaluator(graph, data, batches.inOrder(), recipe.evaluation().target());
  }

  @Override
  public Optional<Evaluation> evaluate(Session session, BooleanSupplier stop) {
    long start = System.nanoTime();
    Sums sums = new Sums();
    for (TokenBatch batch : batches) {
      if (stop.getAsBoolean()) {
        return Optional.empty();
      }
      add(session, data.label(batch, SEED, 0), sums);
    }
    DistillEvaluation measured =
        sums.evaluation(data.guesses().isPresent(), (System.nanoTime() - start) / 1e9);
    if (!measured.isFinite()) {
      throw new PerformerException(
          "the student computes numbers that are not finite on %s; check the conversion, or lower training.learningRate and resume"
              .formatted(data.validation().name()));
    }
    return Optional.of(measured.evaluation(Math.round(sums.guesses)));
  }

  @Override
  public String fingerprint() {
    CRC32 sum = new CRC32();
    batches.forEach(batch -> data.label(batch, SEED, 0).addTo(sum));
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
    String text =
        String.format(
            Locale.ROOT,
            "cosine to the teacher %.4f (lowest %.4f)  hidden %.3f  attention %.3f",
            e.cosine(),
            e.lowestCosine(),
            e.hidden(),
            e.attention());
    return e.accuracy() == null
        ? text
        : text
            + String.format(
                Locale.ROOT,
                "  divergence %.4f  accuracy %.1f %% of the teacher's %.1f %% (± %.1f, %d guesses)",
                e.divergence(),
                100 * e.accuracy(),
                100 * e.teacherAccuracy(),
                100 * standardError(e.accuracy(), evaluation.guesses()),
                evaluation.guesses());
  }

  @Override
  public String plotted() {
    return "cosine";
  }

  /** Of a share that was counted on so many guesses. */
  private static double standardError(double share, long guesses) {
    return Math.sqrt(share * (1 - share) / Math.max(1, guesses));
  }

  private void add(Session session, LabelledBatch batch, Sums sums) {
    try (Feed feed = graph.feed(batch)) {
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
        throw batch.failed("evaluation", e);
      }
    }
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
