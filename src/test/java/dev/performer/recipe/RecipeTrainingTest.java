package dev.performer.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.pipeline.TrainJob;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Tensor;

class RecipeTrainingTest {
  private static final List<String> TIMES =
      List.of("tokensPerSecond", "stepMilliseconds", "peakMemoryBytes", "seconds");

  @TempDir Path temporary;

  @Test
  void learnsExportsAndReports() throws IOException {
    Path run = temporary.resolve("run");
    Recipe recipe = TinyRecipe.in(temporary, "training.steps=60", "training.averageDecay=0.9");
    TrainJob.Outcome outcome = train(TrainJob.of(recipe, run));
    TrainingResult result = outcome.result();
    assertThat(result.finished()).isTrue();
    assertThat(result.before().perplexity()).isGreaterThan(20);
    assertThat(result.best().perplexity()).isLessThan(0.6 * result.before().perplexity());
    assertThat(Files.readString(run.resolve("report.md")))
        .contains("validation perplexity", "![loss](loss.png)", "hiddenSize: 16");
    assertThat(run.resolve("loss.png")).isNotEmptyFile();
    assertThat(run.resolve("gradient.png")).isNotEmptyFile();
    PerformerModels.Saved saved = PerformerModels.load(outcome.model().orElseThrow());
    assertThat(saved.config()).isEqualTo(recipe.model());
    assertThat(saved.card().languageModel().objective()).isEqualTo(ModelCard.Objective.CAUSAL_LM);
    assertThat(saved.card().provenance().metricsAfter().get("perplexity"))
        .isEqualTo(result.best().perplexity());
    // Averages are what was evaluated and exported.
    Map<String, float[]> last = values(run, result.bestStep());
    assertThat(saved.weights().get("embeddings/token").floats())
        .isEqualTo(last.get("performer_average/embeddings/token/.ATTRIBUTES/VARIABLE_VALUE"))
        .isNotEqualTo(last.get("embeddings/token/.ATTRIBUTES/VARIABLE_VALUE"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "training.averageDecay=0.9 model.attention.redrawEvery=3",
        "training.accumulate=2 training.optimizer=adafactor model.dropout={mlp: 0.1}",
        "task=masked-lm data.masking=protein-lm training.optimizer=lion"
            + " training.learningRate=0.001 training.logEvery=3",
        "training.memory=segments training.segmentLength=7 training.truncate=true"
            + " training.batchSequences=3 model.positions=rotary model.dropout={mlp: 0.1}",
      })
  void aResumedRunEqualsOneWithoutInterruption(String settings) throws IOException {
    // Settings are separated by spaces; those inside braces stay together.
    String[] each = settings.split(" (?![^{]*})");
    Recipe recipe = TinyRecipe.in(temporary, each);
    Path whole = temporary.resolve("whole");
    Path parts = temporary.resolve("parts");
    train(TrainJob.of(recipe, whole));
    TrainJob part = TrainJob.of(recipe, parts);
    assertThat(train(part.pausingAt(7)).model()).isEmpty();
    assertThat(train(part.pausingAt(0).resuming(true)).result().finished()).isTrue();
    assertThat(metrics(parts)).isEqualTo(metrics(whole)).hasSizeGreaterThan(10);
    Map<String, float[]> expected = values(whole, 20);
    Map<String, float[]> actual = values(parts, 20);
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    actual.forEach((name, value) -> assertThat(value).as(name).isEqualTo(expected.get(name)));
    assertThat(position(parts)).isEqualTo(position(whole));
    assertThat(Files.readAllBytes(parts.resolve("model/variables/variables.data-00000-of-00001")))
        .isEqualTo(
            Files.readAllBytes(whole.resolve("model/variables/variables.data-00000-of-00001")));
  }

  @ParameterizedTest
  @Tag("slow")
  @ValueSource(
      strings = {
        "training.xla=true training.averageDecay=0.9 training.accumulate=2"
            + " model.dropout={mlp: 0.1} model.attention.redrawEvery=3",
        "training.xla=true training.memory=segments training.segmentLength=13",
        "training.xla=true training.memory=recompute model.dropout={mlp: 0.1}",
        "training.memory=segments training.accumulate=2 model.dropout={mlp: 0.1}",
      })
  void soDoesOneThatXlaCompiles(String settings) throws IOException {
    aResumedRunEqualsOneWithoutInterruption(settings);
  }

  @Test
  @Tag("slow")
  void twoHundredStepsEqualAHundredAndAHundred() throws IOException {
    Recipe recipe =
        TinyRecipe.in(
            temporary,
            "training.steps=200",
            "training.schedule=cosine",
            "training.averageDecay=0.99",
            "training.checkpointEvery=30",
            "training.logEvery=7",
            "model.layers=2",
            "model.attention.redrawEvery=25",
            "model.dropout={residual: 0.1}");
    Path whole = temporary.resolve("whole");
    Path parts = temporary.resolve("parts");
    train(TrainJob.of(recipe, whole));
    train(TrainJob.of(recipe, parts).pausingAt(100));
    train(TrainJob.of(recipe, parts).resuming(true));
    assertThat(metrics(parts)).isEqualTo(metrics(whole)).hasSizeGreaterThan(60);
    Map<String, float[]> expected = values(whole, 200);
    values(parts, 200)
        .forEach((name, value) -> assertThat(value).as(name).isEqualTo(expected.get(name)));
  }

  @Test
  void redrawsProjectionsInTrainingOnly() throws IOException {
    String projection = "layer_0/attention/projection/.ATTRIBUTES/VARIABLE_VALUE";
    Path run = temporary.resolve("run");
    Recipe recipe =
        TinyRecipe.in(
            temporary,
            "model.attention.redrawEvery=6",
            "training.steps=10",
            "training.keepCheckpoints=9");
    train(TrainJob.of(recipe, run));
    assertThat(values(run, 5).get(projection)).isEqualTo(values(run, 0).get(projection));
    assertThat(values(run, 10).get(projection)).isNotEqualTo(values(run, 5).get(projection));
  }

  @Test
  void stopsWhenNothingGetsBetter() {
    Recipe recipe =
        TinyRecipe.in(
            temporary,
            "training.steps=500",
            "training.evaluateEvery=5",
            "training.patience=2",
            "training.schedule=constant",
            "training.learningRate=1e-30");
    TrainingResult result = train(TrainJob.of(recipe, temporary.resolve("run"))).result();
    assertThat(result.finished()).isTrue();
    assertThat(result.steps()).isLessThan(500);
    assertThat(result.steps() - result.bestStep()).isEqualTo(10);
  }

  @Test
  void saysWhereTrainingDiverged() {
    Path run = temporary.resolve("run");
    Recipe recipe =
        TinyRecipe.in(
            temporary,
            "training.optimizer=sgd",
            "training.clipNorm=0",
            "training.warmupSteps=0",
            "training.learningRate=1e30",
            "training.divergence=0");
    assertThatThrownBy(
            () -> TrainJob.of(recipe, run).debuggingNumerics(true).run(Progress.silent()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("training diverged at step ")
        .hasMessageContaining("first not finite: the ")
        .hasMessageContaining(", op ")
        .hasMessageContaining("step-0; lower the learning rate (now ")
        .hasMessageEndingWith("e+29) and resume");
    assertThat(run.resolve("checkpoints/step-0/state.json")).exists();
    Recipe milder = TinyRecipe.in(temporary, "training.optimizer=sgd");
    assertThat(train(TrainJob.of(milder, run).resuming(true)).result().finished()).isTrue();
  }

  @Test
  void stopsAtALossThatGrowsFarBeyondItsBeginning() {
    Recipe recipe =
        TinyRecipe.in(
            temporary,
            "training.optimizer=sgd",
            "training.clipNorm=0",
            "training.warmupSteps=0",
            "training.learningRate=30",
            "training.steps=200");
    assertThatThrownBy(() -> train(TrainJob.of(recipe, temporary.resolve("run"))))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("training diverged at step ")
        .hasMessageContaining("last good checkpoint");
  }

  @Test
  void refusesToGoOnWithAnotherArchitecture() {
    Path run = temporary.resolve("run");
    train(TrainJob.of(TinyRecipe.in(temporary), run).pausingAt(5));
    Recipe other = TinyRecipe.in(temporary, "model.mlpSize=48");
    assertThatThrownBy(() -> train(TrainJob.of(other, run).resuming(true)))
        .isInstanceOf(PerformerException.class)
        .hasMessage(
            "cannot resume "
                + run
                + ": model.mlpSize was 32 and is now 48; resume with the same, or start in another"
                + " directory");
    Recipe longer = TinyRecipe.in(temporary, "training.steps=25", "training.evaluateEvery=25");
    assertThat(train(TrainJob.of(longer, run).resuming(true)).result().steps()).isEqualTo(25);
  }

  @Test
  void theResolvedRecipeReadsBackAsItself() throws IOException {
    Recipe recipe = TinyRecipe.in(temporary, "training.optimizer=lion", "model.layers=3");
    Path file = temporary.resolve("resolved.yaml");
    Files.writeString(file, StrictJson.yaml(recipe.toJson()));
    assertThat(Recipe.of(StrictJson.readTree(file), "resolved.yaml", List.of())).isEqualTo(recipe);
  }

  private static TrainJob.Outcome train(TrainJob training) {
    return training.run(Progress.silent());
  }

  private static Map<String, float[]> values(Path run, long step) throws IOException {
    Map<String, float[]> values = new TreeMap<>();
    Checkpoint checkpoint = Checkpoint.open(run.resolve("checkpoints/step-" + step));
    try (CheckpointReader reader = CheckpointReader.open(checkpoint.prefix())) {
      for (String key : reader.entries().keySet()) {
        try (Tensor tensor = reader.tensor(key)) {
          boolean isCount = tensor.dataType() == org.tensorflow.proto.DataType.DT_INT64;
          values.put(
              key, isCount ? new float[] {Tensors.longs(tensor)[0]} : Tensors.floats(tensor));
        }
      }
    }
    return values;
  }

  private static List<JsonNode> metrics(Path run) throws IOException {
    List<JsonNode> lines = new ArrayList<>();
    for (String line : Files.readAllLines(run.resolve("metrics.jsonl"))) {
      lines.add(((ObjectNode) new ObjectMapper().readTree(line)).remove(TIMES));
    }
    return lines;
  }

  private static Object position(Path run) throws IOException {
    return Checkpoint.open(run.resolve("checkpoints/step-20")).state().position();
  }
}
