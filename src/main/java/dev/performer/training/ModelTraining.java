package dev.performer.training;

import static dev.performer.PerformerException.require;

import dev.performer.data.Batches;
import dev.performer.data.NpyArray;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunDirectory.Settings;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import org.tensorflow.Graph;

/**
 * The training of a model that is built from its configuration, and its export with the weights of
 * the best evaluation.
 *
 * @param measured what evaluations measure besides
 * @param unit of the numbers that a regression guesses
 */
public record ModelTraining(
    PerformerConfig config,
    Objective objective,
    LoopOptions loop,
    Function<Trainable, Measures> measured,
    Standardization unit) {
  /** The export inside a run directory. */
  public static final String MODEL = "model";

  /** Where a run is. @param pauseAt step after which to stop as Ctrl-C would; 0 for none */
  public record Place(Path directory, boolean resume, boolean debugNumerics, long pauseAt) {}

  /** What a model learns from, and what measures it. */
  public record Data(Batches train, Batches validation) {}

  /** The card of a model with the weights of a step. */
  public interface Cards {
    ModelCard of(Evaluation before, Evaluation after, long step);
  }

  /** What came of it; there is no model if the run was stopped before its end. */
  public record Outcome(TrainingResult result, Optional<Path> model) {}

  /** Trains and exports. @param start weights to begin with; empty for random ones */
  public Outcome run(
      Place place,
      Settings settings,
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
      if (!place.resume() && PerformerTraining.beginsClassifierAnew(config, start)) {
        progress.message("the model to start from has no such classifier; it begins anew");
      }
      Trainable model = trainable(graph, start);
      var measures = measured.apply(model);
      var best = Validation.of(model, validation, loop.evaluationBatches(), measures);
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
        var weights = unit.restored(model.weights(trainer.session()));
        ModelCard card = cards.of(result.before(), result.best(), result.bestStep());
        Path target = place.directory().resolve(MODEL);
        PerformerModels.write(config, weights, card, target, Files.exists(target));
        return new Outcome(result, Optional.of(target));
      }
    }
  }

  /** The model with its loss in a graph that is empty. */
  public Trainable trainable(Graph graph, Map<String, NpyArray> start) {
    Map<String, NpyArray> weights = start.isEmpty() ? start : unit.standardized(start);
    return PerformerTraining.build(graph, config, loop, weights);
  }

  /** Something must be guessed: sequences of a single token, say, teach nothing. */
  private void requireGuesses(Batches batches) {
    String name = batches.name();
    try (BatchSource pass = TokenBatchSource.evaluation(batches, objective)) {
      require(pass.hasNext(), "%s holds no sequence with tokens", name);
      boolean found = false;
      while (!found && pass.hasNext()) {
        found = pass.next().hasGuesses();
      }
      require(found, "%s holds nothing to guess: its sequences are too short", name);
    }
  }
}
