package dev.performer.distill;

import dev.performer.training.run.Evaluation;
import java.util.Map;
import java.util.TreeMap;

/**
 * How near a student is to its teacher on held-out data.
 *
 * @param loss the weighted sum that training minimizes
 * @param hidden mean squared error over variance of layers' outputs, mean over layers
 * @param attention the same of attention
 * @param cosine mean cosine of embeddings, the masked means of last states
 * @param lowestCosine of all sequences
 * @param divergence from the teacher's distribution over tokens, nats per token; null without
 *     logits
 * @param accuracy share of right guesses; null without logits
 * @param teacherAccuracy the teacher's on the same tokens; null without logits
 * @param sequences how many
 * @param seconds it took
 */
public record DistillEvaluation(
    double loss,
    double hidden,
    double attention,
    double cosine,
    double lowestCosine,
    Double divergence,
    Double accuracy,
    Double teacherAccuracy,
    long sequences,
    double seconds) {

  /** An evaluation as that of a student. */
  static DistillEvaluation of(Evaluation evaluation) {
    Map<String, Double> more = evaluation.more();
    return new DistillEvaluation(
        evaluation.loss(),
        more.get("hidden"),
        more.get("attention"),
        more.get("cosine"),
        more.get("lowestCosine"),
        more.get("divergence"),
        Double.isNaN(evaluation.accuracy()) ? null : evaluation.accuracy(),
        more.get("teacherAccuracy"),
        evaluation.sequences(),
        evaluation.seconds());
  }

  /** {@link #of} gives this back. */
  Evaluation evaluation(long guesses) {
    Map<String, Double> more = new TreeMap<>(Map.of("hidden", hidden, "attention", attention));
    more.putAll(Map.of("cosine", cosine, "lowestCosine", lowestCosine));
    if (accuracy != null) {
      more.put("divergence", divergence);
      more.put("teacherAccuracy", teacherAccuracy);
    }
    double share = accuracy == null ? Double.NaN : accuracy;
    return new Evaluation(loss, share, Double.NaN, guesses, sequences, seconds, more);
  }

  /** Accuracy over the teacher's; null without logits. */
  public Double relativeAccuracy() {
    return accuracy == null ? null : accuracy / Math.max(teacherAccuracy, 1e-12);
  }

  /** What a target is compared with: relative accuracy of language models, else the cosine. */
  public double reached() {
    return accuracy == null ? cosine : relativeAccuracy();
  }

  /** What the best weights have least of: divergence of language models, else 1 − cosine. */
  double distance() {
    return divergence == null ? 1 - cosine : divergence;
  }

  boolean isFinite() {
    return Double.isFinite(distance()) && Double.isFinite(loss);
  }
}
