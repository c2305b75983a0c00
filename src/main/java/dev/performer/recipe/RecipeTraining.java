package dev.performer.recipe;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelCards;
import dev.performer.training.ModelTraining;
import dev.performer.training.Trainable;
import dev.performer.training.optim.Averages;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunSettings;
import dev.performer.training.run.TrainingState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BooleanSupplier;
import org.tensorflow.Graph;
import org.tensorflow.Tensor;

/**
 * Trains what a {@link Recipe} describes and exports the best weights as a SavedModel.
 *
 * @param recipe what to train
 * @param directory of the run: new or empty, or that of an earlier part
 * @param resume whether an earlier run goes on
 * @param pauseAt step after which to stop as Ctrl-C would; 0 for none
 * @param debugsNumerics whether to look for the op that brought forth a NaN
 * @param from a SavedModel whose weights a new run starts with; null for random ones
 */
public record RecipeTraining(
    Recipe recipe,
    Path directory,
    boolean resume,
    long pauseAt,
    boolean debugsNumerics,
    Path from) {
  /** The settings of a run, every default written out. */
  public static final String RECIPE = "recipe.yaml";

  /** The export inside a run directory. */
  public static final String MODEL = ModelTraining.MODEL;

  /** From random weights, without interruption. */
  public static RecipeTraining of(Recipe recipe, Path directory) {
    return new RecipeTraining(recipe, directory, false, 0, false, null);
  }

  /** The same, going on. */
  public RecipeTraining resuming() {
    return new RecipeTraining(recipe, directory, true, pauseAt, debugsNumerics, from);
  }

  /** The same, up to a step of this part of the run. */
  public RecipeTraining pausingAt(long step) {
    return new RecipeTraining(recipe, directory, resume, step, debugsNumerics, from);
  }

  /** The same, starting with the weights of a SavedModel that this program wrote. */
  public RecipeTraining startingFrom(Path model) {
    return new RecipeTraining(recipe, directory, resume, pauseAt, debugsNumerics, model);
  }

  /**
   * Trains.
   *
   * @throws PerformerException if the directory is another's or cannot be written, the data has
   *     nothing usable, memory is short, or training diverges
   */
  public ModelTraining.Outcome run(Progress progress) {
    return run(progress, () -> false);
  }

  /**
   * The same.
   *
   * @param stop polled between steps: whether to end with a checkpoint, as Ctrl-C would
   */
  public ModelTraining.Outcome run(Progress progress, BooleanSupplier stop) {
    LoopOptions loop = recipe.training();
    RecipeData.Split batches = recipe.data().batches(recipe.batchSize(), loop.seed());
    if (loop.memoryCheck()) {
      MemoryEstimate.of(recipe.model(), loop, recipe.data().length()).check(loop);
    }
    return training()
        .run(
            new ModelTraining.Place(directory, resume, debugsNumerics, pauseAt),
            new RunSettings(RECIPE, recipe.toJson(), Recipe::current),
            new ModelTraining.Data(batches.train(), batches.validation()),
            start(),
            (before, after, step) -> card(recipe, before, after, step),
            stop,
            progress);
  }

  /** The recipe's model in a graph that is empty. */
  public Trainable trainable(Graph graph) {
    return training().trainable(graph, start());
  }

  private ModelTraining training() {
    return new ModelTraining(
        recipe.model(),
        recipe.objective(),
        recipe.training(),
        model -> model.withMeasures(recipe.measures(model)),
        recipe.data().unit());
  }

  private Map<String, NpyArray> start() {
    return from == null ? Map.of() : PerformerModels.load(from).weights();
  }

  /** Whether a directory is that of a run. */
  public static boolean isRun(Path directory) {
    return Files.exists(directory.resolve(RECIPE))
        && Files.isDirectory(directory.resolve("checkpoints"));
  }

  /**
   * Writes a SavedModel with the weights of any checkpoint of a run, also of one that goes on.
   *
   * @param checkpoint a folder {@code step-N} of the run
   * @param target where it goes
   * @param replace whether a SavedModel that is there may be replaced
   * @throws PerformerException if the checkpoint is not whole, or the target cannot be written
   */
  public static void export(Path run, Path checkpoint, Path target, boolean replace) {
    Recipe recipe = Recipe.ofRun(run);
    Checkpoint saved;
    try {
      saved = Checkpoint.open(checkpoint);
    } catch (IOException e) {
      throw new PerformerException(
          checkpoint + " is not whole: " + RunDirectory.describe(e) + "; take another", e);
    }
    String prefix = recipe.training().averageDecay() > 0 ? Averages.SCOPE + "/" : "";
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    try (CheckpointReader reader = CheckpointReader.open(saved.prefix())) {
      Performer.shapes(recipe.model())
          .forEach(
              (name, shape) -> {
                String own = Variables.checkpointKey(name);
                String average = Variables.checkpointKey(prefix + name);
                String key = reader.entries().containsKey(average) ? average : own;
                try (Tensor tensor = reader.tensor(key)) {
                  weights.put(name, NpyArray.of(Tensors.floats(tensor), shape.asArray()));
                }
              });
    }
    TrainingState state = saved.state();
    ModelCard card = card(recipe, state.before(), state.latest(), state.step());
    Map<String, NpyArray> exported = recipe.data().unit().restored(weights);
    PerformerModels.write(recipe.model(), exported, card, target, replace);
  }

  private static ModelCard card(Recipe recipe, Evaluation before, Evaluation after, long step) {
    RecipeData.Masks masks = recipe.data().masking();
    ModelCard.Masking masking = masks == null ? null : ModelCards.masking(masks.proportions());
    return ModelCard.of(
            recipe.model().attentionOf(0),
            ModelCards.vocabulary(recipe.data().tokenizer()),
            PerformerModels.languageModel(recipe.model(), masking),
            ModelCards.provenance(
                null, recipe.data().name(), recipe.training().seed(), step, before, after))
        .withData(recipe.data().withoutFiles().toJson());
  }
}
