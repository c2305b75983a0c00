package dev.performer.training;

import dev.performer.graph.Tensors;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;

/**
 * One optimizer step: forward, backward, clipping, update and metrics in one run of the session.
 */
record TrainingStep(LanguageModel model, LossGraph loss, AdamW optimizer) {

  /**
   * What a step measured, before its update.
   *
   * @param loss mean cross-entropy of the batch
   * @param guesses number of tokens guessed
   * @param gradientNorm before clipping
   */
  record Measured(double loss, double guesses, double gradientNorm) {
    boolean isFinite() {
      return Double.isFinite(loss) && Double.isFinite(gradientNorm);
    }
  }

  Measured run(Session session, LabelledBatch batch, double learningRate) {
    try (Feed feed = Feed.of(model, loss, batch)) {
      feed.scalar(optimizer.learningRate(), learningRate);
      Session.Runner runner = session.runner();
      feed.into(runner);
      runner.addTarget(optimizer.update()).fetch(loss.sums()).fetch(optimizer.gradientNorm());
      try (Result result = runner.run()) {
        double[] sums = Tensors.doubles(result.get(0));
        double norm = Tensors.doubles(result.get(1))[0];
        return new Measured(sums[0] / Math.max(sums[2], 1e-9), sums[2], norm);
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw Failures.ofRun("a training step", batch, e);
      }
    }
  }
}
