package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunSettings;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * Trains a model from scratch, as a recipe describes it or on a program's own sequences, and writes
 * it with the weights of the best evaluation.
 *
 * <pre>{@code
 * PerformerConfig config =
 *     PerformerConfig.preset("performer")
 *         .with("task=causal-lm", "vocabularySize=29", "layers=2", "hiddenSize=64", "heads=4");
 * SequenceTraining training =
 *     SequenceTraining.of(config, Tokenizer.named("google-protein"), SequenceSource.texts("mine", texts));
 * TrainJob.Outcome outcome = TrainJob.of(training, run).run(Progress.lines(System.out));
 * }</pre>
 *
 * <p>The run directory gets its settings, metrics.jsonl, events for TensorBoard, checkpoints/,
 * report.md and, at the end, model/. A job runs in one thread; {@link #stop} may be called from
 * any.
 */
public final class TrainJob {
  private final Recipe recipe;
  private final SequenceTraining sequences;
  private final Path run;
  private boolean resume;
  private boolean debugNumerics;
  private long pauseAt;
  private Path from;
  private volatile boolean stops;

  private TrainJob(Recipe recipe, SequenceTraining sequences, Path run) {
    this.recipe = recipe;
    this.sequences = sequences;
    this.run = run;
  }

  /** What a recipe describes. @param run the run directory: new or empty, or that of a run */
  public static TrainJob of(Recipe recipe, Path run) {
    return new TrainJob(recipe, null, run);
  }

  /** On own sequences. @param run the run directory: new or empty, or that of a run */
  public static TrainJob of(SequenceTraining sequences, Path run) {
    return new TrainJob(null, sequences, run);
  }

  /** Whether to go on from the newest checkpoint of the run directory. */
  public TrainJob resuming(boolean value) {
    resume = value;
    return this;
  }

  /** Whether to look for the op that brought forth a number that is not finite. */
  public TrainJob debuggingNumerics(boolean value) {
    debugNumerics = value;
    return this;
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
   * What came of it.
   *
   * @param result of the training
   * @param run the run directory
   * @param model the SavedModel; empty if the run was stopped before its end
   */
  public record Outcome(TrainingResult result, Path run, Optional<Path> model) {}

  /**
   * Trains and exports.
   *
   * @param progress hears of steps, evaluations and checkpoints; what it throws ends the run
   * @throws PerformerException if directory or data will not do, memory is short, or training
   *     diverges; the checkpoints are good
   */
  public Outcome run(Progress progress) {
    Path start = from == null ? null : ModelLocation.savedModel(from);
    ModelTraining.Outcome outcome;
    if (recipe != null) {
      outcome =
          new RecipeTraining(recipe, run, resume, pauseAt, debugNumerics, start)
              .run(progress, () -> stops);
    } else {
      outcome =
          sequences
              .training()
              .run(
                  new ModelTraining.Place(run, resume, debugNumerics, pauseAt),
                  RunSettings.of(sequences.settings()),
                  sequences.data(),
                  start == null ? Map.of() : PerformerModels.load(start).weights(),
                  sequences::card,
                  () -> stops,
                  progress);
    }
    return new Outcome(outcome.result(), run, outcome.model());
  }

  /** Ends {@link #run} after the step under way, with a checkpoint; from any thread. */
  public void stop() {
    stops = true;
  }
}
