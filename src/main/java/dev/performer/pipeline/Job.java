package dev.performer.pipeline;

import dev.performer.data.NpyArray;
import dev.performer.data.TokenBatch;
import dev.performer.graph.Variable;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.Trainer;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Session;

/**
 * A training of the kind J that writes a run directory. It runs in one thread; {@link #stop} may be
 * called from any.
 */
public abstract sealed class Job<J extends Job<J>> permits TrainJob, FineTuneJob, DistillJob {
  /**
   * What came of a training; the model is there unless the run was stopped before its end.
   *
   * @param run the run directory
   * @param maxOutputDifference largest absolute difference of the reloaded export's outputs from
   *     the trained graph's; NaN where they were not compared
   */
  public record Outcome(
      TrainingResult result, Path run, Optional<Path> model, double maxOutputDifference) {}

  final Path run;
  boolean resume;
  boolean debugNumerics;
  private volatile boolean stops;

  Job(Path run) {
    this.run = run;
  }

  /** Whether to go on from the newest checkpoint of the run directory. */
  public J resuming(boolean value) {
    resume = value;
    return self();
  }

  /** Whether to look for the op that brought forth a number that is not finite. */
  public J debuggingNumerics(boolean value) {
    debugNumerics = value;
    return self();
  }

  /** Ends {@code run} after the step under way, with a checkpoint; from any thread. */
  public void stop() {
    stops = true;
  }

  boolean isStopped() {
    return stops;
  }

  @SuppressWarnings("unchecked")
  private J self() {
    return (J) this;
  }

  /** Makes a trainer stop, and look for what is not finite, as configured. */
  void watch(Trainer trainer) {
    trainer.stopWhen(this::isStopped);
    if (debugNumerics) {
      trainer.debugNumerics();
    }
  }

  /** Writes the model that a run started from with the weights of a session. */
  static Path export(
      Path original, ModelCard card, Session session, List<Variable> variables, Path target) {
    WeightReplacement.of(original).card(card).replaceExisting().export(session, variables, target);
    return target;
  }

  /**
   * The largest absolute difference of a reloaded export's output from that of the trained graph:
   * infinite where one is not a number, NaN where the export has no such output.
   */
  static double difference(
      Path export, TokenInput input, TokenBatch batch, String output, float[] trained) {
    var feeds = input.feeds(batch.tokens(), batch.mask(), batch.rows(), batch.length());
    return difference(export, input.signature().name(), feeds, output, trained);
  }

  /** The same of a signature's inputs. @param trained null where it was not compared */
  static double difference(
      Path export, String signature, Map<String, NpyArray> feeds, String output, float[] trained) {
    try (SavedModelPredictor predictor = SavedModelPredictor.load(export)) {
      var reloaded = predictor.predict(signature, feeds).get(output);
      if (reloaded == null || trained == null) {
        return Double.NaN;
      }
      float[] again = reloaded.floats();
      double largest = 0;
      for (int i = 0; i < trained.length; i++) {
        double distance = Math.abs((double) trained[i] - again[i]);
        largest = Math.max(largest, Double.isNaN(distance) ? Double.POSITIVE_INFINITY : distance);
      }
      return largest;
    }
  }
}
