package dev.performer.distill;

import dev.performer.PerformerException;
import dev.performer.graph.Tensors;
import dev.performer.training.Feed;
import dev.performer.training.LabelledBatch;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Validation;
import dev.performer.training.run.Evaluation;
import java.util.DoubleSummaryStatistics;
import java.util.Formatter;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import java.util.zip.CRC32;
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

  /** Means weigh batches by their tokens, cosines by sequences. */
  @Override
  public Optional<Evaluation> evaluate(Session session, BooleanSupplier stop) {
    long start = System.nanoTime();
    var fetched = List.of(graph.loss().sums(), graph.loss().cosines(), graph.loss().loss());
    double[] sums = new double[7]; // as in a loss; its means times real tokens
    double loss = 0;
    var cosines = new DoubleSummaryStatistics();
    for (LabelledBatch batch : batches) {
      if (stop.getAsBoolean()) {
        return Optional.empty();
      }
      try (Feed feed = graph.feed(batch);
          var result = feed.run(session, fetched)) {
        double[] own = Tensors.doubles(result.get(0));
        for (int i = 0; i < sums.length; i++) {
          sums[i] += i < 2 ? own[i] * own[3] : own[i];
        }
        for (float cosine : Tensors.floats(result.get(1))) {
          cosines.accept(cosine);
        }
        loss += Tensors.floats(result.get(2))[0] * own[3];
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw batch.failed("evaluation", e);
      }
    }
    double tokens = sums[3];
    double guesses = Math.max(1, sums[6]);
    double accuracy = Double.NaN;
    Map<String, Double> more = new TreeMap<>();
    more.put("hidden", sums[0] / tokens);
    more.put("attention", sums[1] / tokens);
    more.put("cosine", cosines.getAverage());
    more.put("lowestCosine", cosines.getMin());
    if (data.guesses().isPresent()) {
      accuracy = sums[4] / guesses;
      more.put("divergence", sums[2] / tokens);
      more.put("teacherAccuracy", sums[5] / guesses);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    long counted = Math.round(sums[6]);
    var measured =
        new Evaluation(
            loss / tokens, accuracy, Double.NaN, counted, cosines.getCount(), seconds, more);
    boolean isFinite = Double.isFinite(distance(measured)) && Double.isFinite(measured.loss());
    String text =
        "the student's outputs on %s are not finite; lower training.learningRate and resume";
    PerformerException.require(isFinite, text, data.validation().name());
    return Optional.of(measured);
  }

  @Override
  public String fingerprint() {
    CRC32 sum = new CRC32();
    batches.forEach(batch -> batch.addTo(sum));
    return Long.toHexString(sum.getValue());
  }

  /** The divergence of language models, else 1 − cosine. */
  @Override
  public double distance(Evaluation evaluation) {
    Map<String, Double> more = evaluation.more();
    return more.getOrDefault("divergence", 1 - more.get("cosine"));
  }

  @Override
  public boolean isEnough(Evaluation best) {
    return target != null && DistillEvaluation.of(best).reached() >= target;
  }

  @Override
  public String describe(Evaluation evaluation) {
    DistillEvaluation e = DistillEvaluation.of(evaluation);
    var text = new Formatter(Locale.ROOT);
    String format = "cosine to the teacher %.4f (lowest %.4f)  hidden %.3f  attention %.3f";
    text.format(format, e.cosine(), e.lowestCosine(), e.hidden(), e.attention());
    if (e.accuracy() != null) {
      double share = e.accuracy();
      long guesses = evaluation.guesses();
      text.format(
          "  divergence %.4f  accuracy %.1f %% of the teacher's %.1f %% (± %.1f, %d guesses)",
          e.divergence(),
          100 * share,
          100 * e.teacherAccuracy(),
          100 * Math.sqrt(share * (1 - share) / Math.max(1, guesses)),
          guesses);
    }
    return text.toString();
  }

  @Override
  public String plotted() {
    return "cosine";
  }
}
