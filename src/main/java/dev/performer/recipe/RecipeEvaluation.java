package dev.performer.recipe;

import dev.performer.data.Batches;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.BatchSource;
import dev.performer.training.LoopOptions;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Trainable;
import dev.performer.training.Validation;
import dev.performer.training.run.Evaluation;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/** Evaluates the export of a recipe as the training did: the same graph, objective and measures. */
public final class RecipeEvaluation {
  private RecipeEvaluation() {}

  /**
   * Evaluates a model.
   *
   * @param trained the section {@code data} of the recipe that trained it
   * @param limit batches at most; 0 for all
   * @param seed of the masks
   */
  public static Evaluation of(
      PerformerModels.Saved model, RecipeData trained, Batches batches, int limit, long seed) {
    PerformerConfig config = model.config();
    var recipe = new Recipe(config.task(), trained, config, LoopOptions.DEFAULT);
    try (Graph graph = new Graph();
        BatchSource source = TokenBatchSource.evaluation(batches, recipe.objective(), seed)) {
      Trainable trainable = Trainable.of(graph, config, 0);
      var validation = Validation.of(trainable, source, limit, recipe.measures(trainable));
      try (Session session = new Session(graph, false)) {
        trainable.initializer().accept(session);
        PerformerModels.assign(
            Ops.create(graph).withSubScope("trained"),
            session,
            trainable.variables(),
            trained.unit().standardized(model.weights()));
        return validation.evaluate(session, () -> false).orElseThrow();
      }
    }
  }
}
