package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeTraining;
import dev.performer.recipe.TinyRecipe;
import dev.performer.training.run.Checkpoint.Interval;
import dev.performer.training.run.RunDirectory.ResumePolicy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.RunOptions;
import org.tensorflow.types.TFloat64;

/** Steps that XLA compiles, against the same steps op by op. */
class CompiledStepTest {
  private static final AttrValue NOT_SAID = AttrValue.getDefaultInstance();

  @TempDir Path temporary;

  private interface Use {
    void of(Graph graph, Session session, TrainerStep step, BatchSource batches);
  }

  /** A recipe's step as it is trained, begun. */
  private void with(Recipe recipe, Use use) {
    try (Graph graph = new Graph();
        Session session = TrainerStep.session(graph, recipe.training().xla());
        BatchSource batches = source(recipe)) {
      TrainerStep step = step(graph, recipe);
      step.model().initializer().accept(session);
      step.optimizer().initializer().accept(session);
      use.of(graph, session, step, batches);
    }
  }

  private TrainerStep step(Graph graph, Recipe recipe) {
    Trainable model = RecipeTraining.of(recipe).trainable(graph, Map.of());
    return TrainerStep.of(model, recipe.training());
  }

  private List<Double> train(Recipe recipe, int steps) {
    List<Double> measured = new ArrayList<>();
    with(
        recipe,
        (graph, session, step, source) -> {
          for (int i = 0; i < steps; i++) {
            List<LabelledBatch> batches = new ArrayList<>();
            for (int j = 0; j < recipe.training().accumulate(); j++) {
              batches.add(source.next());
            }
            Interval one = step.run(session, batches, i, 0.01);
            measured.add(one.loss());
            measured.add(one.norm());
            measured.add((double) one.tokens());
          }
        });
    return measured;
  }

  private static BatchSource source(Recipe recipe) {
    return TokenBatchSource.training(
        recipe.data().batches(recipe.batchSize(), 1).train(), recipe.objective(), 1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "training.averageDecay=0.9 training.zLoss=1e-4 training.labelSmoothing=0.1"
            + " model.attention.redrawEvery=3",
        "training.accumulate=2 training.optimizer=lion model.attention={kernel: hyperbolic}",
      })
  void lossesAreThoseOfTheStepOpByOp(String settings) {
    List<String> each = new ArrayList<>(List.of(settings.split(" (?![^{]*})")));
    each.add("data.bucket=32");
    List<Double> plain = train(recipe(each, false), 12);
    List<Double> compiled = train(recipe(each, true), 12);
    assertThat(plain.get(33)).isLessThan(plain.get(0));
    for (int i = 0; i < plain.size(); i++) {
      double tolerance = 1e-4 * Math.max(1, plain.get(i));
      assertThat(compiled.get(i)).as("number %d", i).isCloseTo(plain.get(i), within(tolerance));
    }
  }

  @ParameterizedTest
  @Tag("slow")
  @ValueSource(
      strings = {
        "task=masked-lm training.optimizer=adafactor training.batchSequences=48"
            + " model.attention={exact: true}",
        "training.optimizer=sgd model.attention={kernel: softmax} model.positions=rotary",
      })
  void soAreThoseOfOtherModelsAndOptimizers(String settings) {
    lossesAreThoseOfTheStepOpByOp(settings);
  }

  private Recipe recipe(List<String> settings, boolean xla) {
    List<String> all = new ArrayList<>(settings);
    all.add("training.xla=" + xla);
    return TinyRecipe.in(temporary, all.toArray(String[]::new));
  }

  @Test
  void nothingOfTheStepIsLeftOutsideOfXla() {
    Recipe recipe = recipe(List.of("training.averageDecay=0.9"), true);
    with(
        recipe,
        (graph, session, step, source) -> {
          Set<String> executed = new TreeSet<>();
          int compiled = 0;
          for (NodeDef node : executed(session, step, source.next())) {
            executed.add(node.getOp());
            compiled += node.getAttrOrDefault("_XlaMustCompile", NOT_SAID).getB() ? 1 : 0;
          }
          assertThat(executed)
              .containsExactlyInAnyOrder(
                  "_Arg", "_Retval", "VarHandleOp", "StatefulPartitionedCall", "CheckNumericsV2");
          assertThat(compiled).isEqualTo(2);
          Set<String> inside = new TreeSet<>();
          for (FunctionDef function : graph.toGraphDef().getLibrary().getFunctionList()) {
            function.getNodeDefList().forEach(node -> inside.add(node.getOp()));
          }
          assertThat(inside)
              .contains("MatMul", "L2Loss", "ResourceApplyAdam", "AssignAddVariableOp");
        });
  }

  private static List<NodeDef> executed(Session session, TrainerStep step, LabelledBatch batch) {
    List<NodeDef> nodes = new ArrayList<>();
    try (Feed feed = step.feed(batch, 0, 0)) {
      feed.put(step.optimizer().learningRate(), TFloat64.scalarOf(0.01));
      Session.Runner runner =
          session
              .runner()
              .setOptions(RunOptions.newBuilder().setOutputPartitionGraphs(true).build())
              .addTarget(step.optimizer().update())
              .fetch(step.sums());
      feed.into(runner);
      try (Result result = runner.runAndFetchMetadata()) {
        for (var partition : result.getMetadata().orElseThrow().getPartitionGraphsList()) {
          nodes.addAll(partition.getNodeList());
        }
      }
    }
    return nodes;
  }

  @Test
  void aStepThatIsNotFiniteChangesNothing() {
    Recipe recipe = recipe(List.of("training.averageDecay=0.9"), true);
    with(
        recipe,
        (graph, session, step, source) -> {
          LabelledBatch batch = source.next();
          double before = step.run(session, List.of(batch), 0, 0).loss();
          float[] weights = batch.weights().clone();
          weights[0] = Float.NaN;
          LabelledBatch bad =
              new LabelledBatch(
                  batch.rows(),
                  batch.length(),
                  batch.inputs(),
                  batch.mask(),
                  batch.targets(),
                  weights);
          assertThatThrownBy(() -> step.run(session, List.of(bad), 1, 0.1))
              .isInstanceOf(TrainerStep.NotFinite.class);
          assertThat(step.run(session, List.of(batch), 1, 0).loss()).isEqualTo(before);
        });
  }

  @Test
  void anOpThatXlaCannotCompileIsNamed() {
    Recipe recipe = recipe(List.of(), false);
    try (Graph graph = new Graph()) {
      TrainerStep step = step(graph, recipe);
      Ops tf = Ops.create(graph);
      var text = tf.dtypes.asString(step.model().sums());
      var sums = tf.strings.toNumber(text, TFloat64.class).asOutput();
      assertThatThrownBy(
              () ->
                  new TrainerStep(step.model(), sums, step.optimizer(), 1, null, null)
                      .compiled(null))
          .isInstanceOf(PerformerException.class)
          .hasMessageStartingWith("XLA cannot compile ")
          .hasMessageContaining("AsString")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void batchesHaveOneLengthAndRunsDoNotChangeOver() {
    Recipe plain = TinyRecipe.in(temporary, "data.bucket=null");
    Recipe compiled = TinyRecipe.in(temporary, "data.bucket=null", "training.xla=true");
    assertThat(compiled.data().bucket()).isEqualTo(32);
    assertThat(TinyRecipe.in(temporary, "training.xla=true").data().bucket()).isEqualTo(16);
    assertThatThrownBy(
            () -> ResumePolicy.changes(plain.toJson(), compiled.toJson(), Path.of("run")))
        .hasMessageStartingWith("cannot resume run: training.xla was false and is now true");
  }

  @Test
  void aBatchIsFilledUpWithItsOwnRows() {
    LabelledBatch batch =
        new LabelledBatch(
            2,
            2,
            new int[] {1, 2, 3, 4},
            new int[] {1, 1, 1, 0},
            new int[] {2, 3, 4, 5},
            new float[] {1, 1, 1, 0});
    LabelledBatch filled = batch.withRows(5, true);
    assertThat(filled.inputs()).containsExactly(1, 2, 3, 4, 1, 2, 3, 4, 1, 2);
    assertThat(filled.mask()).containsExactly(1, 1, 1, 0, 1, 1, 1, 0, 1, 1);
    assertThat(filled.targets()).containsExactly(2, 3, 4, 5, 2, 3, 4, 5, 2, 3);
    assertThat(filled.weights()).containsExactly(1, 1, 1, 0, 0, 0, 0, 0, 0, 0);
  }
}
