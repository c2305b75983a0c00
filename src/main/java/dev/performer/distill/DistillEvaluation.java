package dev.performer.distill;

import dev.performer.training.run.Evaluation;
import java.util.Map;

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

  /** Accuracy over the teacher's; null without logits. */
  public Double relativeAccuracy() {
    return accuracy == null ? null : accuracy / Math.max(teacherAccuracy, 1e-12);
  }

  /** What a target is compared with: relative accuracy of language models, else the cosine. */
  public double reached() {
    return accuracy == null ? cosine : relativeAccuracy();
  }
}
