package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.Overrides;
import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRows;
import dev.performer.distill.DistillData;
import dev.performer.distill.DistillModels;
import dev.performer.distill.DistillRecipe;
import dev.performer.distill.Distiller;
import dev.performer.distill.TinyBert;
import dev.performer.model.FavorConversion;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.run.Progress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A distillation in stages: what each changes, where it stops, and that it goes on. */
class DistillStagesTest {
  private static final String FEATURES =
      "{loss: {hidden: 0, embedding: 0, attention: 1}, weights: {layers: false, projections: true,"
          + " calibration: true}, training: {steps: 3, learningRate: 0.01}}";
  private static final String ADAPTED =
      "{training: {steps: 4, learningRate: 0.01, lora: {rank: 2}}}";
  private static final String HOPELESS =
      "{name: no better, training: {steps: 50, learningRate: 1.0e-30, patience: 2}}";
  @TempDir static Path folder;
  private static Path exact;
  private static Path favor;
  private static Path data;

  @BeforeAll
  static void models() {
    PerformerConfig config = TinyBert.config("encoder");
    Map<String, NpyArray> weights = TinyBert.weights(config, 5);
    weights.replaceAll((name, w) -> name.matches(".*/(query|key)/kernel") ? longer(w) : w);
    exact = TinyBert.write(config, weights, folder.resolve("exact"));
    var how =
        FavorConfig.builder().kernel(Kernel.SDERF).features(4).seed(3L).window(1).sinks(List.of(0));
    var converted = new FavorConversion(how.build(), Set.of()).apply(config, weights);
    favor = TinyBert.write(converted.config(), converted.weights(), folder.resolve("favor"));
    Random random = new Random(1);
    int[] tokens = new int[40 * TinyBert.LONGEST];
    float[] mask = new float[tokens.length];
    for (int i = 0; i < tokens.length; i++) {
      boolean isReal = i % TinyBert.LONGEST < 4 + i / TinyBert.LONGEST % 8; // lengths of 4 to 11
      tokens[i] = isReal ? 1 + random.nextInt(11) : 0;
      mask[i] = isReal ? 1 : 0;
    }
    data = folder.resolve("data.npz");
    Map<String, NpyArray> arrays =
        Map.of(
            "tokens", NpyArray.of(tokens, 40, TinyBert.LONGEST),
            "mask", NpyArray.of(mask, 40, TinyBert.LONGEST));
    Npz.write(data, arrays);
  }

  /** Longer queries, so that few features are far off. */
  private static NpyArray longer(NpyArray array) {
    float[] values = array.floats();
    for (int i = 0; i < values.length; i++) {
      values[i] *= 6;
    }
    return NpyArray.of(values, array.shape());
  }

  private static DistillRecipe recipe(String... settings) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "training.steps=3",
                "training.batchTokens=96",
                "training.warmupSteps=0",
                "training.evaluateEvery=1",
                "data.holdOutEvery=4"));
    all.addAll(List.of(settings));
    return DistillRecipe.of(new Overrides(all).over(JsonNodeFactory.instance.objectNode()), "test");
  }

  private static DistillRecipe stages(String... stages) {
    return recipe("stages=[" + String.join(", ", stages) + "]");
  }

  private static DistillJob job(DistillRecipe recipe, String run) {
    return DistillJob.of(Model.open(favor), Model.open(exact), folder.resolve(run)).with(recipe);
  }

  private static DistillJob.Outcome run(DistillRecipe recipe, String run) {
    return job(recipe, run).run(data, Optional.empty(), Progress.silent());
  }

  private static Map<String, NpyArray> weights(Path model) {
    return PerformerModels.load(model).weights();
  }

  private static Set<String> changed(Map<String, NpyArray> was, Map<String, NpyArray> now) {
    assertThat(now.keySet()).isEqualTo(was.keySet());
    Set<String> changed = new TreeSet<>(was.keySet());
    changed.removeIf(name -> now.get(name).equals(was.get(name)));
    return changed;
  }

  @Tag("slow")
  @Test
  void eachStageChangesWhatItMayAndGoesOnWhereItWasStopped() {
    DistillRecipe recipe = stages(FEATURES, ADAPTED, HOPELESS);
    DistillJob.Outcome whole = run(recipe, "whole");
    Path root = folder.resolve("whole");
    List<Map<String, NpyArray>> models = new ArrayList<>(List.of(weights(favor)));
    for (int i = 1; i <= 2; i++) {
      models.add(weights(root.resolve("stages/" + i + "/model")));
    }
    models.add(weights(whole.model().orElseThrow()));

    assertThat(changed(models.get(0), models.get(1)))
        .hasSize(2 * 5) // two layers: P, directions, A and both centres
        .allMatch(name -> name.matches("layer_./attention/(projection|calibration/[^b].*)"));
    assertThat(changed(models.get(1), models.get(2)))
        .hasSize(2 * 6)
        .allMatch(name -> name.matches("layer_./.*/kernel"));
    assertThat(changed(models.get(2), models.get(3))).isEmpty();
    assertThat(whole.result().steps()).isEqualTo(3 + 4 + 2); // of 50 steps, patience left 2
    assertThat(whole.result().best().cosine()).isGreaterThan(whole.result().before().cosine());
    assertThat(whole.maxOutputDifference()).isLessThan(1e-5);
    assertThat(whole.branches()).containsOnlyKeys(AttentionBranch.values());
    assertThat(whole.branches().values())
        .allMatch(alone -> alone.cosine() < whole.result().best().cosine());

    AtomicReference<DistillJob> broken = new AtomicReference<>();
    Progress stopsInStage2 =
        new Progress() {
          private boolean isInStage2;

          @Override
          public void message(String line) {
            isInStage2 |= line.startsWith("stage 2 of 3");
          }

          @Override
          public void step(long step, double loss, double tokensPerSecond) {
            if (isInStage2 && step == 2) {
              broken.get().stop();
            }
          }
        };
    broken.set(job(recipe, "broken"));
    DistillJob.Outcome first = broken.get().run(data, Optional.empty(), stopsInStage2);
    assertThat(first.result().finished()).isFalse();
    assertThat(first.result().steps()).isEqualTo(3 + 2);
    assertThat(first.model()).isEmpty();
    assertThatThrownBy(() -> run(recipe, "broken"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("holds a run already");
    assertThatThrownBy(
            () ->
                job(
                        stages(FEATURES, ADAPTED.replace("rank: 2", "rank: 2, alpha: 6"), HOPELESS),
                        "broken")
                    .resuming(true)
                    .run(data, Optional.empty(), Progress.silent()))
        .hasMessageContaining("cannot resume")
        .hasMessageContaining("stages.1.training.lora.alpha was 4.0 and is now 6.0");
    var again = job(recipe, "broken").resuming(true).run(data, Optional.empty(), Progress.silent());
    assertThat(again.result().steps()).isEqualTo(9);
    assertThat(again.result().before().cosine()).isEqualTo(whole.result().before().cosine());
    assertThat(changed(models.get(3), weights(again.model().orElseThrow()))).isEmpty();
  }

  /** A stage is the same loop: one alone is a recipe without stages. */
  @Test
  void oneStageIsTheRecipeItself() {
    run(recipe(), "without");
    run(stages("{}"), "single");
    assertThat(weights(folder.resolve("single/model")))
        .isEqualTo(weights(folder.resolve("without/model")))
        .isNotEqualTo(weights(favor));
    assertThat(recipe().trainings()).containsExactly(recipe());
    assertThat(recipe().toJson().has("stages")).isFalse();
    DistillRecipe staged = stages(FEATURES, ADAPTED, "{training: {seed: 9}}");
    assertThat(DistillRecipe.of(staged.toJson(), "again")).isEqualTo(staged);
    assertThat(staged.trainings().stream().map(t -> t.training().seed()))
        .containsExactly(1L, 2L, 9L);
    assertThat(staged.trainings().get(0).loss().logits()).isEqualTo(1); // the recipe's
  }

  @Tag("slow")
  @Test
  void mergedFactorsAreTheSumsThatWereTrained() {
    DistillModels models = DistillModels.load(favor, exact);
    var rows = List.of(new int[] {1, 2, 3, 4, 5}, new int[] {6, 7, 8, 9, 10, 11, 1});
    var some = new TokenRows("some", rows, List.of());
    DistillData learned = new DistillData(some, some, 0, 0, Optional.empty());
    int[] ids = {1, 5, 3, 7, 9, 2};
    TokenBatch batch = new TokenBatch(6, ids, new int[] {6}, new long[] {0}, BatchPosition.START);
    List<float[]> found = new ArrayList<>();
    for (String memory : List.of("plain", "recompute")) {
      DistillRecipe recipe =
          recipe(
              "training.learningRate=0.01",
              "training.memory=" + memory,
              "training.lora={rank: 2, targets: ['layer_*/attention/**', 'layer_1/mlp/in/kernel']}",
              "training.trainOnly=[layer_0/mlp_norm/scale]");
      Path run = folder.resolve("merged-" + memory);
      try (Distiller distiller =
          Distiller.open(models, learned, recipe, run, false, Progress.silent())) {
        var start = distiller.outputs(batch);
        distiller.run();
        distiller.trainer().restoreBest();
        float[] trained = distiller.outputs(batch);
        distiller.restoreBest();
        assertThat(distance(distiller.outputs(batch), trained)).isLessThan(1e-5);
        assertThat(distance(start, trained)).isGreaterThan(1e-3);
        var now = PerformerModels.values(distiller.trainer().session(), distiller.student());
        Set<String> changed = changed(models.student().weights(), now);
        assertThat(changed)
            .contains("layer_0/mlp_norm/scale", "layer_1/mlp/in/kernel")
            .contains("layer_0/attention/query/kernel", "layer_1/attention/output/kernel")
            .hasSize(2 + 2 * 4);
        found.add(trained);
      }
    }
    assertThat(distance(found.get(0), found.get(1))).isCloseTo(0, within(1e-4));
  }

  private static double distance(float[] a, float[] b) {
    assertThat(a).hasSameSizeAs(b);
    double most = 0;
    for (int i = 0; i < a.length; i++) {
      most = Math.max(most, Math.abs(a[i] - b[i]));
    }
    return most;
  }

  @Test
  void impossibleStages() {
    refuses("stages[0].trainin; did you mean training?", "{trainin: {}}");
    refuses("stages[1].training.step; did you mean steps?", "{}", "{training: {step: 2}}");
    refuses("stages[0]: expected an object", "features");
    refuses(
        "stages[0].loss.all weights of loss are 0; nothing would be learned",
        "{loss: {hidden: 0, attention: 0, embedding: 0, logits: 0}}");
    refuses(
        "weights leave nothing to train; set layers, projections, calibration or embeddings",
        "{weights: {layers: false}}");
    refuses(
        "training.lora: trains factors of the layers' weights, which weights.layers: false",
        "{weights: {layers: false, projections: true}, training: {lora: {rank: 2}}}");
    refuses("training.memory: segments makes no sense", "{training: {memory: segments}}");
    assertThatThrownBy(() -> recipe("stages=features")).hasMessageContaining("expected a list");
    DistillRecipe none = stages(FEATURES, "{}");
    Path run = folder.resolve("none");
    var same = DistillJob.of(Model.open(exact), Model.open(exact), run).with(none);
    assertThatThrownBy(() -> same.run(data, Optional.empty(), Progress.silent()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no layer has random directions");
    assertThat(run).doesNotExist();
    String onlyLogits = "{loss: {hidden: 0, attention: 0, embedding: 0, logits: 1}}";
    assertThatThrownBy(() -> run(stages(onlyLogits), "none"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("logits is a term of language models only");
    assertThat(run).doesNotExist();
  }

  private static void refuses(String what, String... stages) {
    assertThatThrownBy(() -> stages(stages))
        .as(Arrays.toString(stages))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(what);
  }
}
