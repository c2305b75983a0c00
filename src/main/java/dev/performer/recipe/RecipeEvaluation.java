package dev.performer.recipe;

import dev.performer.PerformerException;
import dev.performer.data.Batches;
import dev.performer.data.NpyArray;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.nn.Precision;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.BatchSource;
import dev.performer.training.LoopOptions;
import dev.performer.training.LossGraph;
import dev.performer.training.PerformerTraining;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Trainable;
import dev.performer.training.Validation;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * Evaluates the export of a recipe as the training did: the same graph, objective and measures.
 *
 * @param model a SavedModel directory
 * @param data how its data are read
 */
public record RecipeEvaluation(Path model, EvaluationData data) {
  /**
   * What came of it.
   *
   * @param data what was read
   * @param report what was noticed in it, such as letters that are unknown
   */
  public record Outcome(Evaluation evaluation, String data, Optional<String> report) {}

  /**
   * Evaluates on a file.
   *
   * @param file empty for a recipe's validation data, as many batches as its training evaluates on,
   *     or for made-up examples
   * @param seed of the masks
   * @throws PerformerException if the data do not fit the model
   */
  public Outcome run(Optional<Path> file, EvaluationData.Request request, long seed) {
    PerformerModels.Saved saved = PerformerModels.load(model);
    PerformerConfig config = saved.config();
    requireRecipeOf(config.task());
    Batches batches =
        file.map(path -> data.of(path, config.task(), request)).orElseGet(() -> data.own(request));
    if (batches.vocabulary().size() > config.vocabularySize()) {
      throw new PerformerException(
          "%s has %d tokens, but the model only %d"
              .formatted(batches.name(), batches.vocabulary().size(), config.vocabularySize()));
    }
    int limit =
        file.isPresent() ? 0 : data.recipe().map(r -> r.training().evaluationBatches()).orElse(0);
    Recipe recipe = new Recipe(config.task(), data.trained(), config, LoopOptions.DEFAULT);
    Evaluation evaluation = evaluate(recipe, saved.weights(), batches, limit, seed);
    return new Outcome(evaluation, batches.name(), batches.reportOnce());
  }

  private void requireRecipeOf(Task task) {
    if (data.recipe().isPresent() && data.recipe().get().task() != task) {
      throw new PerformerException(
          "the recipe's task is %s, but the model's is %s; give the recipe that trained it"
              .formatted(data.recipe().get().task().label(), task.label()));
    }
  }

  private static Evaluation evaluate(
      Recipe recipe, Map<String, NpyArray> exported, Batches batches, int limit, long seed) {
    Map<String, NpyArray> weights = recipe.data().unit().standardized(exported);
    try (Graph graph = new Graph();
        BatchSource source = TokenBatchSource.evaluation(batches, recipe.objective(), seed)) {
      Trainable built =
          PerformerTraining.build(
              graph,
              recipe.model(),
              LossGraph.Options.NONE,
              Precision.FLOAT32,
              0,
              recipe.training().seed(),
              Map.of());
      Trainable trainable = built.withMeasures(recipe.measures(built));
      try (Session session = new Session(graph, false)) {
        trainable.initializer().accept(session);
        PerformerModels.assign(
            Ops.create(graph).withSubScope("trained"), session, trainable.variables(), weights);
        return Validation.of(trainable, source, limit).evaluate(session, () -> false).orElseThrow();
      }
    }
  }
}
