package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.Batches;
import dev.performer.data.NpyArray;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunSettings;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.UnaryOperator;
import org.tensorflow.Graph;

/**
 * The training of a model that is built from its configuration, and its export with the weights of
 * the best evaluation.
 *
 * @param config of the model
 * @param objective what it learns to guess
 * @param loop how
 * @param measured adds what evaluations measure besides
 * @param unit of the numbers that a regression guesses
 */
public record ModelTraining(
    PerformerConfig config,
    Objective objective,
    LoopOptions loop,
    UnaryOperator<Trainable> measured,
    Standardization unit) {
  /** The export inside a run directory. */
  public static final String MODEL = "model";

  /**
   * Where a run is.
   *
   * @param directory of the run: new or empty, or that of an earlier part
   * @param resume whether an earlier run goes on
   * @param debugNumerics whether to look for the op that brought forth a NaN
   * @param pauseAt step after which to stop as Ctrl-C would; 0 for none
   */
  public record Place(Path directory, boolean resume, boolean debugNumerics, long pauseAt) {}

  /** What a model learns from, and what it is evaluated on. */
  public record Data(Batches train, Batches validation) {}

  /** The card of a model with some weights. */
  public interface Cards {
    /**
     * @param before evaluation before the first step
     * @param after that of the weights
     * @param step of the weights
     */
    ModelCard of(Evaluation before, Evaluation after, long step);
  }

  /**
   * What came of it.
   *
   * @param result of the training
   * @param model the SavedModel; empty if the run was stopped before its end
   */
  public record Outcome(TrainingResult result, Optional<Path> model) {}

  /**
   * Trains and exports.
   *
   * @param start weights to begin with, by name; empty for random ones
   * @param stop polled between steps: whether to end with a checkpoint, as Ctrl-C would
   * @throws PerformerException if the directory is another's or cannot be written, the data has
   *     nothing usable, or training diverges
   */
  public Outcome run(
      Place place,
      RunSettings settings,
      Data data,
      Map<String, NpyArray> start,
      Cards cards,
      BooleanSupplier stop,
      Progress progress) {
    requireGuesses(data.train());
    requireGuesses(data.validation());
    try (BatchSource train = TokenBatchSource.training(data.train(), objective, loop.seed());
        BatchSource validation = TokenBatchSource.evaluation(data.validation(), objective);
        RunDirectory run =
            RunDirectory.open(place.directory(), place.resume(), settings, progress);
        Graph graph = new Graph()) {
      Trainable model = trainable(graph, start);
      var best = Validation.of(model, validation, loop.evaluationBatches());
      try (Trainer trainer = new Trainer(model, train, best, loop, run, progress)) {
        trainer.stopWhen(stop);
        if (place.debugNumerics()) {
          trainer.debugNumerics();
        }
        TrainingResult result = trainer.run(place.pauseAt());
        if (!result.finished()) {
          return new Outcome(result, Optional.empty());
        }
        trainer.restoreBest();
        Path target = place.directory().resolve(MODEL);
        PerformerModels.write(
            config,
            unit.restored(model.weights(trainer.session())),
            cards.of(result.before(), result.best(), result.bestStep()),
            target,
            Files.exists(target));
        return new Outcome(result, Optional.of(target));
      }
    }
  }

  /** The model with its loss in a graph that is empty. */
  public Trainable trainable(Graph graph, Map<String, NpyArray> start) {
    return measured.apply(
        PerformerTraining.build(
            graph,
            config,
            new LossGraph.Options(loop.labelSmoothing(), loop.zLoss()),
            loop.precision(),
            loop.averageDecay(),
            loop.seed(),
            start.isEmpty() ? start : unit.standardized(start)));
  }

  /** Something must be guessed: sequences of a single token, say, teach nothing. */
  private void requireGuesses(Batches batches) {
    try (BatchSource pass = TokenBatchSource.evaluation(batches, objective)) {
      if (!pass.hasNext()) {
        throw new PerformerException(batches.name() + " holds no sequence with tokens");
      }
      while (pass.hasNext()) {
        if (pass.next().hasGuesses()) {
          return;
        }
      }
    }
    throw new PerformerException(
        batches.name() + " holds nothing to guess: its sequences are too short");
  }
}
