package dev.performer.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.Masking;
import dev.performer.data.NpyArray;
import dev.performer.data.Overrides;
import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRows;
import dev.performer.graph.LossGradients;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.CardTokenizer;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.Feed;
import dev.performer.training.LoopOptions;
import dev.performer.training.Objective;
import dev.performer.training.Trainable;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.optim.OptimizerOps;
import dev.performer.training.optim.OptimizerOps.Minimized;
import dev.performer.training.optim.ParameterGroups;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.types.TFloat64;

class DistillerTest {
  @TempDir Path folder;

  private DistillModels models(String task) {
    PerformerConfig config = TinyBert.config(task);
    Map<String, NpyArray> weights = TinyBert.weights(config, 5);
    // Longer queries, so that few features are far off.
    weights.replaceAll(
        (name, value) ->
            name.endsWith("/query/kernel") || name.endsWith("/key/kernel")
                ? times(value, 6)
                : value);
    var favor = TinyBert.favor(config, weights);
    TinyBert.write(config, weights, folder.resolve("exact"));
    TinyBert.write(favor.config(), favor.weights(), folder.resolve("favor"));
    return DistillModels.load(folder.resolve("favor"), folder.resolve("exact"));
  }

  private static NpyArray times(NpyArray array, float factor) {
    float[] values = array.floats();
    for (int i = 0; i < values.length; i++) {
      values[i] *= factor;
    }
    return NpyArray.of(values, array.shape());
  }

  private static TokenRows rows(String name, int count, long seed) {
    Random random = new Random(seed);
    List<int[]> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      rows.add(random.ints(3 + random.nextInt(TinyBert.LONGEST - 2), 1, 12).toArray());
    }
    return new TokenRows(name, rows, List.of());
  }

  private static DistillData data(boolean isLanguageModel) {
    return new DistillData(
        rows("train", 64, 1),
        rows("held", 24, 2),
        0,
        0,
        isLanguageModel
            ? Optional.of(
                new DistillData.Guesses(
                    new Objective.MaskedLanguageModel(Masking.BERT),
                    CardTokenizer.of(TinyBert.vocabulary()).vocabulary()))
            : Optional.empty());
  }

  private static DistillRecipe recipe(String... settings) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "training.steps=20",
                "training.batchTokens=96",
                "training.learningRate=3e-3",
                "training.warmupSteps=3",
                "evaluation.every=10"));
    all.addAll(List.of(settings));
    JsonNode tree = new Overrides(all).over(JsonNodeFactory.instance.objectNode());
    return DistillRecipe.of(tree, "test");
  }

  private Distiller open(DistillModels models, DistillData data, DistillRecipe recipe, boolean go) {
    return Distiller.open(models, data, recipe, folder.resolve("run"), go, Progress.silent());
  }

  @ParameterizedTest
  @ValueSource(strings = {"encoder", "masked-lm"})
  void studentComesNearer(String task) {
    DistillModels models = models(task);
    boolean isLanguageModel = task.equals("masked-lm");
    DistillResult result;
    Map<String, NpyArray> learned;
    try (Distiller distiller = open(models, data(isLanguageModel), recipe(), false)) {
      result = distiller.run();
      distiller.trainer().restoreBest();
      learned = PerformerModels.values(distiller.trainer().session(), distiller.student());
    }
    assertThat(result.finished()).isTrue();
    assertThat(result.steps()).isEqualTo(20);
    assertThat(result.best().loss()).isLessThan(0.85 * result.before().loss());
    assertThat(1 - result.best().cosine()).isLessThan(0.85 * (1 - result.before().cosine()));
    assertThat(result.best().hidden()).isLessThan(result.before().hidden());
    assertThat(result.best().attention()).isLessThan(result.before().attention());
    if (isLanguageModel) {
      assertThat(result.best().divergence()).isLessThan(0.85 * result.before().divergence());
      assertThat(result.best().teacherAccuracy()).isEqualTo(result.before().teacherAccuracy());
    } else {
      assertThat(result.best().divergence()).isNull();
    }
    Map<String, NpyArray> start = models.student().weights();
    assertThat(learned.keySet()).isEqualTo(start.keySet());
    for (String name : start.keySet()) {
      if (name.startsWith("embeddings/") || name.endsWith("/projection")) {
        assertThat(learned.get(name)).as(name).isEqualTo(start.get(name));
      } else if (name.startsWith("layer_") && name.endsWith("/kernel")) {
        assertThat(learned.get(name)).as(name).isNotEqualTo(start.get(name));
      }
    }
    assertThat(folder.resolve("run/metrics.jsonl")).isNotEmptyFile();
    assertThat(folder.resolve("run/loss.png")).isNotEmptyFile();
  }

  @Test
  void teacherIsNotTouchedAndGetsNoGradient() {
    DistillModels models = models("masked-lm");
    try (DistillGraph graph = DistillGraph.of(models, DistillRecipe.DEFAULT)) {
      var loss = graph.loss().loss();
      assertThat(graph.teacher()).noneMatch(v -> v.trainable());
      assertThat(graph.teacher()).allMatch(v -> v.name().startsWith("teacher/"));
      List<Variable> used =
          graph.teacher().stream().filter(v -> !v.name().contains("/pooler/")).toList();
      assertThat(LossGradients.find(graph.graph(), loss, used)).allMatch(Optional::isEmpty);
      List<Variable> layers =
          graph.student().stream().filter(v -> v.name().startsWith("layer_")).toList();
      assertThat(LossGradients.find(graph.graph(), loss, layers)).allMatch(Optional::isPresent);
      Trainable trainable = graph.trainable();
      LoopOptions loop = recipe().training();
      OptimizerOps adam =
          OptimizerOps.build(
              graph.graph(),
              Minimized.mean(trainable.loss(), null),
              trainable.variables(),
              ParameterGroups.ALL,
              null,
              loop.optimizer(),
              loop.clipNorm());
      try (Session session = new Session(graph.graph(), false);
          Feed feed = graph.feed(data(true).label(batch(2, 8, 0), 1, 0))) {
        graph.initialize(session);
        adam.initializer().accept(session);
        feed.put(adam.learningRate(), TFloat64.scalarOf(0.1));
        Session.Runner runner = session.runner();
        feed.into(runner);
        runner.addTarget(adam.update()).run().close();
        PerformerModels.values(session, graph.teacher())
            .forEach(
                (name, value) ->
                    assertThat(value)
                        .as(name)
                        .isEqualTo(
                            models.teacher().weights().get(name.substring("teacher/".length()))));
        assertThat(PerformerModels.values(session, graph.student()))
            .isNotEqualTo(models.student().weights());
      }
    }
  }

  /** Two sequences of 8 and 5 tokens, padded to a length with ids that say nothing. */
  private static TokenBatch batch(int seed, int length, int padding) {
    Random random = new Random(seed);
    int[] lengths = {8, 5};
    int[] ids = new int[2 * length];
    Arrays.fill(ids, padding);
    for (int row = 0; row < 2; row++) {
      for (int i = 0; i < lengths[row]; i++) {
        ids[row * length + i] = 1 + random.nextInt(11);
      }
    }
    return new TokenBatch(length, ids, lengths, new long[] {3, 4}, BatchPosition.START);
  }

  private static double[] measures(DistillModels models, TokenBatch batch, boolean lm) {
    try (DistillGraph graph = DistillGraph.of(models, DistillRecipe.DEFAULT);
        Session session = new Session(graph.graph(), false);
        Feed feed = graph.feed(data(lm).label(batch, 1, 0))) {
      graph.initialize(session);
      Session.Runner runner = session.runner();
      feed.into(runner);
      DistillLoss loss = graph.loss();
      try (Result r = runner.fetch(loss.loss()).fetch(loss.sums()).fetch(loss.cosines()).run()) {
        double[] sums = Tensors.doubles(r.get(1));
        float[] cosines = Tensors.floats(r.get(2));
        double[] all = new double[sums.length + cosines.length + 1];
        all[0] = Tensors.floats(r.get(0))[0];
        System.arraycopy(sums, 0, all, 1, sums.length);
        for (int i = 0; i < cosines.length; i++) {
          all[1 + sums.length + i] = cosines[i];
        }
        return all;
      }
    }
  }

  private static void assertSame(double[] a, double[] b) {
    for (int i = 0; i < a.length; i++) {
      assertThat(a[i]).isCloseTo(b[i], within(1e-5 * (1 + Math.abs(a[i]))));
    }
  }

  @Test
  void whatStandsAtPaddingDoesNotMatter() {
    DistillModels models = models("encoder");
    double[] zeros = measures(models, batch(2, 8, 0), false);
    assertSame(zeros, measures(models, batch(2, 8, 7), false));
    assertSame(zeros, measures(models, batch(2, 12, 7), false));
    assertThat(measures(models, batch(3, 8, 0), false)[0]).isNotCloseTo(zeros[0], within(1e-4));
  }

  @Test
  void lengthOfPaddingDoesNotMatterToLanguageModels() {
    DistillModels models = models("masked-lm");
    assertSame(measures(models, batch(2, 8, 0), true), measures(models, batch(2, 12, 0), true));
  }

  @Test
  void divergenceIsZeroForTheTeacherItself() {
    models("masked-lm");
    DistillModels same = DistillModels.load(folder.resolve("exact"), folder.resolve("exact"));
    double[] none = measures(same, batch(2, 8, 0), true);
    assertThat(none[0]).isCloseTo(0, within(1e-5));
    assertThat(none[none.length - 1]).isCloseTo(1, within(1e-6));
    assertThat(same.notes()).anyMatch(note -> note.contains("in no layer"));
  }

  @Test
  void stopsAtTheTarget() {
    try (Distiller distiller =
        open(models("encoder"), data(false), recipe("evaluation.target=0.1"), false)) {
      DistillResult result = distiller.run();
      assertThat(result.steps()).isZero();
      assertThat(result.reachedTarget()).isTrue();
      assertThat(result.finished()).isTrue();
    }
  }

  /** The rate follows the length of the run, so it is constant here. */
  @Test
  void resumedRunIsTheSameAsOneWithoutABreak() throws IOException {
    DistillModels models = models("encoder");
    String[] six = {"training.finalRate=1", "training.warmupSteps=0", "training.steps=6"};
    String[] three = {"training.finalRate=1", "training.warmupSteps=0", "training.steps=3"};
    DistillResult first;
    Map<String, NpyArray> unbroken;
    try (Distiller distiller =
        Distiller.open(
            models, data(false), recipe(six), folder.resolve("whole"), false, Progress.silent())) {
      first = distiller.run();
      unbroken = PerformerModels.values(distiller.trainer().session(), distiller.student());
    }
    try (Distiller distiller = open(models, data(false), recipe(three), false)) {
      assertThat(distiller.run().steps()).isEqualTo(3);
      assertThat(PerformerModels.values(distiller.trainer().session(), distiller.student()))
          .isNotEqualTo(unbroken);
    }
    try (Distiller distiller = open(models, data(false), recipe(six), true)) {
      DistillResult result = distiller.run();
      assertThat(PerformerModels.values(distiller.trainer().session(), distiller.student()))
          .isEqualTo(unbroken);
      assertThat(result.steps()).isEqualTo(6);
      assertThat(result.before().cosine()).isEqualTo(first.before().cosine());
    }
    assertThatThrownBy(() -> open(models, data(false), recipe("loss.hidden=2"), true))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("cannot resume")
        .hasMessageContaining("loss");
    for (String other : List.of("training.seed=2", "training.batchTokens=48")) {
      assertThatThrownBy(() -> open(models, data(false), recipe(six[0], other), true))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("cannot resume")
          .hasMessageContaining(other.substring(0, other.indexOf('=')));
    }
    Path config = folder.resolve("run/config.json");
    Files.writeString(config, Files.readString(config).replace("\"format\" : 2", "\"format\" : 1"));
    assertThatThrownBy(() -> open(models, data(false), recipe(six), true))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("another version of this program began it");
  }

  @Test
  void learnedDirections() {
    DistillModels models = models("encoder");
    try (Distiller distiller =
        open(
            models,
            data(false),
            recipe("training.projections=true", "training.embeddings=true", "training.steps=2"),
            false)) {
      distiller.run();
      var learned = PerformerModels.values(distiller.trainer().session(), distiller.student());
      for (String name : List.of("layer_1/attention/projection", "embeddings/token")) {
        String full =
            learned.keySet().stream().filter(n -> n.startsWith(name)).findFirst().orElseThrow();
        assertThat(learned.get(full)).isNotEqualTo(models.student().weights().get(full));
      }
    }
  }

  @Test
  void divergedTrainingEndsInOneLine() {
    try (Distiller distiller =
        open(
            models("encoder"),
            data(false),
            recipe("training.learningRate=1e30", "training.clip=0"),
            false)) {
      distiller.trainer().debugNumerics();
      assertThatThrownBy(distiller::run)
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("diverged")
          .hasMessageContaining("the output of the student, op ")
          .hasMessageContaining("lower the learning rate");
    }
  }

  @Test
  void teachersThatAreNone() {
    models("masked-lm");
    Path student = folder.resolve("favor");
    var keys = JsonNodeFactory.instance.objectNode().put("hiddenSize", 32);
    PerformerConfig wide = TinyBert.config("masked-lm").with(keys, "test");
    Path other = TinyBert.write(wide, TinyBert.weights(wide, 1), folder.resolve("wide"));
    assertThatThrownBy(() -> DistillModels.load(student, other))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("hiddenSize is 32, the student's 16");
    var more = JsonNodeFactory.instance.objectNode().put("vocabularySize", 20);
    PerformerConfig large = TinyBert.config("masked-lm").with(more, "test");
    Path third = TinyBert.write(large, TinyBert.weights(large, 1), folder.resolve("large"));
    assertThatThrownBy(() -> DistillModels.load(student, third))
        .hasMessageContaining("vocabularySize is 20");
    Map<String, NpyArray> broken = new HashMap<>(TinyBert.weights(TinyBert.config("masked-lm"), 1));
    broken.put("layer_1/mlp_norm/bias", NpyArray.of(new float[16], 16));
    float[] nan = new float[16];
    nan[3] = Float.NaN;
    broken.put("layer_1/mlp_norm/bias", NpyArray.of(nan, 16));
    Path sick = TinyBert.write(TinyBert.config("masked-lm"), broken, folder.resolve("sick"));
    assertThatThrownBy(() -> DistillModels.load(student, sick))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("layer_1/mlp_norm/bias holds NaN");
    assertThat(DistillModels.load(student, student).notes())
        .anyMatch(note -> note.contains("attends by FAVOR+ itself, in layers [0, 1]"));
  }

  @Test
  void shippedRecipeSaysTheDefaults() {
    JsonNode tree = new Overrides(List.of()).read(Path.of("training/softmax-to-favor.yaml"));
    assertThat(DistillRecipe.of(tree, "recipe")).isEqualTo(DistillRecipe.DEFAULT);
    assertThat(sorted(tree)).isEqualTo(sorted(DistillRecipe.DEFAULT.toJson()));
  }

  /** The lowest cosine was shown above the mean, and a few guesses as if they were many. */
  @Test
  void theLogShowsHowSureItIs() {
    Map<String, Double> more = new TreeMap<>(Map.of("hidden", 0.2, "attention", 0.3));
    more.putAll(Map.of("cosine", 0.99984, "lowestCosine", 0.99961));
    more.putAll(Map.of("divergence", 0.01, "teacherAccuracy", 0.28));
    Evaluation measured = new Evaluation(0.1, 0.26, Double.NaN, 150, 24, 1, more);
    assertThat(new DistillEvaluator(null, null, List.of(), null).describe(measured))
        .contains("cosine to the teacher 0.9998 (lowest 0.9996)")
        .endsWith("accuracy 26.0 % of the teacher's 28.0 % (± 3.6, 150 guesses)");
  }

  @Test
  void readsRecipesOfBefore() {
    DistillRecipe recipe =
        recipe(
            "training.clip=2",
            "training.finalRate=0.5",
            "training.beta2=0.9",
            "training.weightDecay=0.1",
            "training.embeddings=true",
            "evaluation.every=7");
    assertThat(recipe.training().clipNorm()).isEqualTo(2);
    assertThat(recipe.training().schedule().finalShare()).isEqualTo(0.5);
    assertThat(recipe.training().optimizer())
        .isEqualTo(new Optimizer.AdamW(0.9, 0.9, 1e-8, 0.1, false));
    assertThat(recipe.training().evaluateEvery()).isEqualTo(7);
    assertThat(recipe.weights()).isEqualTo(new DistillRecipe.Weights(true, false));
    assertThat(DistillRecipe.of(recipe.toJson(), "again")).isEqualTo(recipe);
    assertThatThrownBy(() -> recipe("training.zLoss=1"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("training.zLoss makes no sense in a distillation");
  }

  /** All paths of keys. */
  private static List<String> sorted(JsonNode tree) {
    List<String> paths = new ArrayList<>();
    tree.fields()
        .forEachRemaining(
            part ->
                part.getValue()
                    .fieldNames()
                    .forEachRemaining(key -> paths.add(part.getKey() + "." + key)));
    return paths.stream().sorted().toList();
  }

  @Test
  void badRecipes() {
    assertThatThrownBy(() -> recipe("training.step=3"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("unknown key training.step; did you mean steps?");
    assertThatThrownBy(() -> recipe("training.steps=0"))
        .hasMessageContaining("training.steps must be at least 1, not 0");
    assertThatThrownBy(() -> recipe("training.steps=many"))
        .hasMessageContaining("training.steps")
        .hasMessageContaining("whole number");
    assertThatThrownBy(() -> recipe("training.learningRate=-1"))
        .hasMessageContaining("training.learningRate");
    assertThatThrownBy(() -> recipe("loss={hidden: 0, attention: 0, embedding: 0, logits: 0}"))
        .hasMessageContaining("nothing would be learned");
  }
}
