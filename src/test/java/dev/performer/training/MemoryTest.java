package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeTraining;
import dev.performer.recipe.TinyRecipe;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.run.Checkpoint.Interval;
import dev.performer.training.run.Progress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Session;

/** Steps that keep less of the forward pass, against the plain form. */
class MemoryTest {
  private static final double TOLERANCE = 1e-5;
  private static final int RATE = 10_000;
  private static final double DIFFERENCE = 0.003;

  @TempDir Path temporary;

  /** What one step of plain gradient descent gives; weights are how far they moved. */
  private record Step(Interval measured, double validation, Map<String, float[]> weights) {}

  private Recipe recipe(String settings, String... more) {
    List<String> all = new ArrayList<>(List.of("data.bucket=32", "training.batchTokens=128"));
    all.addAll(List.of("training.optimizer=sgd", "training.clipNorm=0.5"));
    all.addAll(List.of(settings.split(" (?![^{]*})")));
    all.addAll(List.of(more));
    return TinyRecipe.in(temporary, all.toArray(String[]::new));
  }

  /** The same step with the first so many positions of the batches, for each of some lengths. */
  private static List<Step> steps(Recipe recipe, int... lengths) {
    LoopOptions loop = recipe.training();
    var data = recipe.data().batches(recipe.batchSize(), 1);
    List<Step> steps = new ArrayList<>();
    try (Graph graph = new Graph();
        Session session = TrainerStep.session(graph, loop.xla());
        BatchSource held = TokenBatchSource.evaluation(data.validation(), recipe.objective());
        BatchSource source = TokenBatchSource.training(data.train(), recipe.objective(), 1)) {
      Trainable model = RecipeTraining.of(recipe).trainable(graph, Map.of());
      TrainerStep step = TrainerStep.of(model, loop);
      step.optimizer().initializer().accept(session);
      List<LabelledBatch> whole = Stream.generate(source::next).limit(loop.accumulate()).toList();
      for (int length : lengths) {
        model.initializer().accept(session);
        var best = Validation.of(model, held, 2).evaluate(session, () -> false).orElseThrow();
        Map<String, NpyArray> before = model.weights(session);
        List<LabelledBatch> batches = new ArrayList<>();
        whole.forEach(batch -> batches.add(length == 0 ? batch : batch.segment(0, length)));
        // So far that what weights were before does not round the gradient.
        Interval measured = step.run(session, batches, 0, RATE);
        steps.add(new Step(measured, best.loss(), moved(before, model.weights(session))));
      }
    }
    return steps;
  }

  private static Map<String, float[]> moved(
      Map<String, NpyArray> before, Map<String, NpyArray> after) {
    Map<String, float[]> moved = new LinkedHashMap<>();
    after.forEach(
        (name, value) -> {
          float[] change = value.floats();
          float[] was = before.get(name).floats();
          for (int i = 0; i < change.length; i++) {
            change[i] = (change[i] - was[i]) / RATE;
          }
          moved.put(name, change);
        });
    return moved;
  }

  private static void requireAlike(Step found, Step plain) {
    assertThat(found.measured().loss())
        .isCloseTo(plain.measured().loss(), relative(plain.measured().loss()));
    assertThat(found.measured().norm())
        .isCloseTo(plain.measured().norm(), relative(plain.measured().norm()));
    assertThat(found.measured().guesses()).isEqualTo(plain.measured().guesses());
    assertThat(found.validation()).isCloseTo(plain.validation(), relative(plain.validation()));
    assertThat(found.weights().keySet()).isEqualTo(plain.weights().keySet());
    plain
        .weights()
        .forEach((name, expected) -> requireAlike(name, found.weights().get(name), expected));
  }

  private static void requireAlike(String name, float[] found, float[] expected) {
    double largest = 1e-4;
    for (float x : expected) {
      largest = Math.max(largest, Math.abs(x));
    }
    for (int i = 0; i < expected.length; i++) {
      assertThat((double) found[i])
          .as("%s at %d", name, i)
          .isCloseTo(expected[i], within(TOLERANCE * largest));
    }
  }

  private static org.assertj.core.data.Offset<Double> relative(double of) {
    return within(TOLERANCE * Math.abs(of));
  }

  /** One, two and seven segments, the last of them shorter; rows that end before it. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.layers=2 model.attention={kernel: softmax, features: 8} model.positions=rotary"
            + " training.labelSmoothing=0.1 training.zLoss=1e-3 training.accumulate=2"
            + " model.tiedOutput=true",
        "model.attention={kernel: elu} model.shiftBos=1",
        "model.layers=2 model.attention={kernel: hyperbolic, features: 8, gate: token}",
      })
  void segmentsGiveTheStepsOfThePlainForm(String settings) {
    int[] lengths = {5, 9, 32};
    String[] segments = {"training.memory=segments", "training.segmentLength=5"};
    List<Step> found = steps(recipe(settings, segments), lengths);
    List<Step> plain = steps(recipe(settings), lengths);
    for (int i = 0; i < lengths.length; i++) {
      assertThat(plain.get(i).measured().norm()).isGreaterThan(0.01);
      requireAlike(found.get(i), plain.get(i));
    }
  }

  @Test
  void aSingleSegmentDropsWhatThePlainFormDrops() {
    String settings = "model.dropout={residual: 0.1, mlp: 0.2, embeddings: 0.1}";
    Step found = steps(recipe(settings, "training.memory=segments"), 32).get(0);
    requireAlike(found, steps(recipe(settings), 32).get(0));
  }

  /** Segments drop other elements than the plain form, so it is differences that tell. */
  @Test
  void gradientsAreOfTheVeryMasksThatMadeTheLoss() {
    String settings =
        "model.layers=2 model.attention={kernel: softmax, features: 8}"
            + " model.dropout={residual: 0.2, mlp: 0.2, embeddings: 0.2}";
    Recipe recipe =
        recipe(
            settings,
            "training.memory=segments",
            "training.segmentLength=5",
            "training.clipNorm=0");
    try (Graph graph = new Graph();
        Session session = TrainerStep.session(graph, false);
        BatchSource source =
            TokenBatchSource.training(
                recipe.data().batches(recipe.batchSize(), 1).train(), recipe.objective(), 1)) {
      Trainable model = RecipeTraining.of(recipe).trainable(graph, Map.of());
      TrainerStep step = TrainerStep.of(model, recipe.training());
      List<LabelledBatch> batch = List.of(source.next());
      double[] losses = new double[2];
      Interval[] here = new Interval[2];
      for (int side = 0; side < 2; side++) {
        model.initializer().accept(session);
        step.optimizer().initializer().accept(session);
        here[side] = step.run(session, batch, 0, side == 0 ? -DIFFERENCE : DIFFERENCE);
        losses[side] = step.run(session, batch, 0, 0).loss();
      }
      assertThat(here[0].loss()).isEqualTo(here[1].loss()); // the same elements are dropped
      double squared = here[0].norm() * here[0].norm();
      assertThat((losses[0] - losses[1]) / (2 * DIFFERENCE))
          .isCloseTo(squared, within(2e-3 * squared));
    }
  }

  /** Batches added up, rows that end early, dropout, and a stop amid the run. */
  @Test
  void segmentsGoOnToTheBit() {
    Recipe recipe =
        recipe(
            "model.positions=rotary model.dropout={residual: 0.1, mlp: 0.2} training.steps=5",
            "training.memory=segments",
            "training.segmentLength=7",
            "training.accumulate=2",
            "training.optimizer=adamw",
            "training.checkpointEvery=2",
            "training.evaluateEvery=0");
    run(recipe, "whole", false, 0);
    run(recipe, "halves", false, 3);
    run(recipe, "halves", true, 0);
    var whole = PerformerModels.load(temporary.resolve("whole/model")).weights();
    var halves = PerformerModels.load(temporary.resolve("halves/model")).weights();
    assertThat(halves.keySet()).isEqualTo(whole.keySet());
    whole.forEach(
        (name, value) -> assertThat(halves.get(name).floats()).as(name).isEqualTo(value.floats()));
  }

  private void run(Recipe recipe, String name, boolean resume, long pauseAt) {
    var place = new ModelTraining.Place(temporary.resolve(name), resume, false, pauseAt);
    RecipeTraining.run(recipe, place, Map.of(), () -> false, Progress.silent());
  }

  @Tag("slow")
  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.attention={kernel: hyperbolic, features: 8} model.positions=sinusoidal",
        "model.attention={kernel: exp, features: 8, convention: google-jax}",
        "model.attention={kernel: trigonometric, features: 8} training.averageDecay=0.9",
      })
  void soDoThoseOfOtherKernels(String settings) {
    segmentsGiveTheStepsOfThePlainForm(settings);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.layers=2 model.dropout={residual: 0.1, mlp: 0.2, embeddings: 0.1}"
            + " model.tiedOutput=true training.accumulate=2",
        "task=sequence-to-sequence model.dropout={residual: 0.1}",
        "model.layers=2 model.attention={kernel: relu, gate: constant}",
      })
  void recomputedLayersGiveTheStepsOfThePlainForm(String settings) {
    Step found = steps(recipe(settings, "training.memory=recompute"), 0).get(0);
    requireAlike(found, steps(recipe(settings), 0).get(0));
  }

  @Tag("slow")
  @ParameterizedTest
  @ValueSource(
      strings = {
        "task=masked-lm model.attention={exact: true} model.dropout={attention: 0.2}",
        "training.precision=bfloat16 training.freeze=[embeddings/token] model.layers=2",
      })
  void soDoThoseOfOtherModels(String settings) {
    recomputedLayersGiveTheStepsOfThePlainForm(settings);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "training.memory=segments task=masked-lm | need a causal language model",
        "training.memory=segments model.attention={exact: true} | layer 0 attends in another way",
        "training.memory=segments model.attention={kernel: relu, exactHeads: 1} | has exactHeads",
        "training.memory=segments model.attention={kernel: softmax, convention: google-jax}"
            + "| takes maxima over positions",
        "training.segmentLength=8 | segmentLength needs memory: segments",
        "training.memory=segments training.truncate=true | truncate needs batchSequences",
        "training.memory=segments training.truncate=true training.batchSequences=2"
            + " model.positions=learned | truncate needs positions without end",
        "training.memory=some | memory",
      })
  void whatCannotBeIsRefusedInOneLine(String settings, String message) {
    assertThatThrownBy(() -> recipe(settings))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}
