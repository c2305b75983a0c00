package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.Progress;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * Trains a model from scratch, as a recipe describes it or on a program's own sequences, and writes
 * it with the weights of the best evaluation.
 *
 * <p>The run directory gets its settings, metrics.jsonl, events for TensorBoard, checkpoints/,
 * report.md and, at the end, model/.
 */
public final class TrainJob extends Job<TrainJob> {
  private final Training training;
  private long pauseAt;
  private Path from;

  private interface Training {
    ModelTraining.Outcome run(
        ModelTraining.Place at, Map<String, NpyArray> start, BooleanSupplier stop, Progress heard);
  }

  private TrainJob(Path run, Training training) {
    super(run);
    this.training = training;
  }

  /** What a recipe describes. @param run the run directory: new or empty, or that of a run */
  public static TrainJob of(Recipe recipe, Path run) {
    return new TrainJob(
        run, (at, start, stop, heard) -> RecipeTraining.run(recipe, at, start, stop, heard));
  }

  /** On own sequences. @param run the run directory: new or empty, or that of a run */
  public static TrainJob of(SequenceTraining sequences, Path run) {
    return new TrainJob(run, sequences::run);
  }

  /** Stops after a step as {@link #stop} would; 0 for no such step. */
  public TrainJob pausingAt(long step) {
    pauseAt = step;
    return this;
  }

  /** Begins with the weights of a model; null for random ones. */
  public TrainJob startingFrom(Path model) {
    from = model;
    return this;
  }

  /**
   * Trains and exports.
   *
   * @param progress hears of steps, evaluations and checkpoints; what it throws ends the run
   * @throws PerformerException if directory or data will not do, memory is short, or training
   *     diverges; the checkpoints are good
   */
  public Outcome run(Progress progress) {
    Map<String, NpyArray> start =
        from == null ? Map.of() : PerformerModels.load(ModelLocation.savedModel(from)).weights();
    var place = new ModelTraining.Place(run, resume, debugNumerics, pauseAt);
    var outcome = training.run(place, start, this::isStopped, progress);
    return new Outcome(outcome.result(), run, outcome.model(), Double.NaN);
  }
}
