package dev.performer.recipe;

import dev.performer.PerformerException;
import dev.performer.data.Batches;
import dev.performer.data.NpyArray;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variables;
import dev.performer.model.CausalSegments;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.BatchSource;
import dev.performer.training.LoopOptions;
import dev.performer.training.Memory;
import dev.performer.training.ModelCards;
import dev.performer.training.ModelTraining;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Trainable;
import dev.performer.training.Validation;
import dev.performer.training.optim.Averages;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunDirectory.Settings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;

/** Trains what a {@link Recipe} describes, exports its weights as a SavedModel, evaluates that. */
public final class RecipeTraining {
  /** The settings of a run, every default written out. */
  public static final String RECIPE = "recipe.yaml";

  /** Tokens of a sequence above which a model that can be is evaluated in segments. */
  private static final int LONG = 8192;

  private RecipeTraining() {}

  /**
   * Trains.
   *
   * @param start weights that a new run starts with, by name; empty for random ones
   * @param stop polled between steps: whether to end with a checkpoint, as Ctrl-C would
   * @throws PerformerException if the directory is another's or cannot be written, the data has
   *     nothing usable, memory is short, or training diverges
   */
  public static ModelTraining.Outcome run(
      Recipe recipe,
      ModelTraining.Place place,
      Map<String, NpyArray> start,
      BooleanSupplier stop,
      Progress progress) {
    LoopOptions loop = recipe.training();
    ModelTraining.Data batches =
        loop.truncate()
            ? recipe.data().streams(loop.batchSequences())
            : recipe.data().batches(loop.batch(), loop.seed());
    if (loop.memoryCheck()) {
      MemoryEstimate.of(recipe.model(), loop, recipe.data().length()).check();
    }
    var settings = new Settings(RECIPE, recipe.toJson(), Recipe::current);
    ModelTraining.Cards cards = (before, after, step) -> card(recipe, before, after, step);
    return of(recipe).run(place, settings, batches, start, cards, stop, progress);
  }

  /**
   * Evaluates the export of a recipe as the training did: the same graph, objective and measures.
   *
   * @param trained the section {@code data} of the recipe that trained it
   * @param limit batches at most; 0 for all
   * @param seed of the masks
   * @param each learns the sums of a batch, as in {@link Validation}
   */
  public static Evaluation evaluate(
      PerformerModels.Saved model,
      RecipeData trained,
      Batches batches,
      int limit,
      long seed,
      Consumer<double[]> each) {
    PerformerConfig config = model.config();
    boolean isLong = trained.length() > LONG && CausalSegments.obstacle(config).isEmpty();
    var loop = LoopOptions.builder().memory(isLong ? Memory.SEGMENTS : Memory.PLAIN).build();
    var recipe = new Recipe(config.task(), trained, config, loop);
    try (Graph graph = new Graph();
        BatchSource source = TokenBatchSource.evaluation(batches, recipe.objective(), seed)) {
      Trainable trainable = of(recipe).trainable(graph, Map.of());
      var validation = Validation.of(trainable, source, limit, recipe.measures(trainable), each);
      try (Session session = new Session(graph, false)) {
        trainable.initializer().accept(session);
        Ops tf = Ops.create(graph).withSubScope("trained");
        var weights = trained.unit().standardized(model.weights());
        PerformerModels.assign(tf, session, trainable.variables(), weights);
        return validation.evaluate(session, () -> false).orElseThrow();
      }
    }
  }

  /** The training of a recipe's model on any data. */
  public static ModelTraining of(Recipe recipe) {
    var unit = recipe.data().unit();
    return new ModelTraining(
        recipe.model(), recipe.objective(), recipe.training(), recipe::measures, unit);
  }

  /** Whether a directory is that of a run. */
  public static boolean isRun(Path directory) {
    return Files.exists(directory.resolve(RECIPE))
        && Files.isDirectory(directory.resolve("checkpoints"));
  }

  /** Writes the weights of any checkpoint {@code step-N} of a run, also of one that goes on. */
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
      for (var weight : Performer.shapes(recipe.model()).entrySet()) {
        String name = weight.getKey();
        String average = Variables.checkpointKey(prefix + name);
        boolean hasAverage = reader.entries().containsKey(average);
        try (Tensor tensor = reader.tensor(hasAverage ? average : Variables.checkpointKey(name))) {
          weights.put(name, NpyArray.of(Tensors.floats(tensor), weight.getValue().asArray()));
        }
      }
    }
    var state = saved.state();
    ModelCard card = card(recipe, state.before(), state.latest(), state.step());
    var exported = recipe.data().unit().restored(weights);
    PerformerModels.write(recipe.model(), exported, card, target, replace);
  }

  private static ModelCard card(Recipe recipe, Evaluation before, Evaluation after, long step) {
    RecipeData data = recipe.data();
    var masks = data.masking();
    var masking = masks == null ? null : ModelCards.masking(masks.proportions());
    long seed = recipe.training().seed();
    var language = PerformerModels.languageModel(recipe.model(), masking);
    language = language == null ? null : language.withEnd(data.learnsEnd());
    var origin = ModelCards.provenance(null, data.name(), seed, step, before, after);
    var vocabulary = ModelCards.vocabulary(data.tokenizer());
    return ModelCard.of(recipe.model().attentionOf(0), vocabulary, language, origin)
        .withData(data.withoutFiles().toJson());
  }
}
