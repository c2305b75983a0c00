package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.graph.Tensors;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.TinyRecipe;
import dev.performer.training.optim.OptimizerOps;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The head of a masked language model at the positions that count, against all of them. */
class CountedPositionsTest {
  @TempDir Path temporary;

  /** All logits are computed where XLA compiles the step; the graph runs without it, too. */
  private static Trainable build(Graph graph, Recipe recipe, boolean all) {
    LoopOptions loop =
        recipe.training().toBuilder().labelSmoothing(0.1).zLoss(1e-3).xla(all).build();
    return PerformerTraining.build(graph, recipe.model(), loop, Map.of());
  }

  @ParameterizedTest
  @ValueSource(strings = {"plain", "recompute"})
  void lossesAndGradientsAreThoseOfAllPositions(String memory) {
    Recipe recipe = recipe("training.memory=" + memory);
    LabelledBatch batch = batch(recipe);
    List<float[]> some = values(recipe, batch, false);
    List<float[]> all = values(recipe, batch, true);
    assertThat(some).hasSameSizeAs(all);
    for (int i = 0; i < all.size(); i++) {
      double size = 0;
      for (float value : all.get(i)) {
        size = Math.max(size, Math.abs(value));
      }
      for (int j = 0; j < all.get(i).length; j++) {
        assertThat((double) some.get(i)[j]).isCloseTo(all.get(i)[j], within(2e-6 * size + 1e-9));
      }
    }
  }

  @Test
  void batchInWhichNothingCountsHasNoGradient() {
    Recipe recipe = recipe();
    LabelledBatch batch = batch(recipe);
    Arrays.fill(batch.weights(), 0);
    for (float[] values : values(recipe, batch, false)) {
      assertThat(values).containsOnly(0f);
    }
  }

  private Recipe recipe(String... more) {
    List<String> settings = new ArrayList<>(List.of("task=masked-lm", "model.layers=2"));
    settings.addAll(List.of(more));
    return TinyRecipe.in(temporary, settings.toArray(String[]::new));
  }

  private static LabelledBatch batch(Recipe recipe) {
    var batches = recipe.data().batches(recipe.batchSize(), 1).train();
    try (BatchSource source = TokenBatchSource.training(batches, recipe.objective(), 1)) {
      return source.next();
    }
  }

  /** Sums, then gradients. */
  private static List<float[]> values(Recipe recipe, LabelledBatch batch, boolean all) {
    try (Graph graph = new Graph();
        Session session = new Session(graph, false)) {
      Trainable model = build(graph, recipe, all);
      assertThat(isCounted(graph)).isEqualTo(!all);
      OptimizerOps optimizer = TrainerStep.optimizer(model, recipe.training());
      Ops tf = Ops.create(graph);
      List<Output<?>> sought = new ArrayList<>();
      sought.add(tf.dtypes.cast(model.sums(), TFloat32.class).asOutput());
      sought.addAll(optimizer.gradients().values());
      model.initializer().accept(session);
      try (Feed feed = model.feed().apply(batch)) {
        Session.Runner runner = session.runner();
        feed.into(runner);
        sought.forEach(runner::fetch);
        List<float[]> values = new ArrayList<>();
        try (Result result = runner.run()) {
          result.forEach(entry -> values.add(Tensors.floats(entry.getValue())));
        }
        return values;
      }
    }
  }

  private static boolean isCounted(Graph graph) {
    boolean found = false;
    for (Iterator<GraphOperation> all = graph.operations(); all.hasNext(); ) {
      found |= all.next().type().equals("Where");
    }
    return found;
  }
}
