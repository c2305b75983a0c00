package dev.performer.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Overrides;
import dev.performer.data.TokenBatch;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.pipeline.TrainJob;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.study.UnigramBaseline;
import dev.performer.training.BatchSource;
import dev.performer.training.LabelledBatch;
import dev.performer.training.Measures.ClassTally;
import dev.performer.training.Measures.RegressionTally;
import dev.performer.training.Standardization;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/** Regression and span corruption, from a recipe to the exported model. */
class RecipeTasksTest {
  private static final List<String> TIMES =
      List.of("tokensPerSecond", "stepMilliseconds", "peakMemoryBytes", "seconds");
  private static final String[] REGRESSION = {
    "task=regression",
    "data.train=train.csv",
    "data.validation=valid.csv",
    "training.steps=60",
    "training.batchTokens=1024"
  };
  private static final String[] SPANS = {"task=sequence-to-sequence", "training.steps=150"};

  @TempDir Path temporary;

  @BeforeEach
  void writeTables() throws IOException {
    write("train.csv", 300, 1);
    write("valid.csv", 60, 2);
  }

  /** How much there is more of one letter than of another, far from 0 and not in units of 1. */
  private void write(String name, int rows, long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    StringBuilder text = new StringBuilder("sequence,label\n");
    for (int row = 0; row < rows; row++) {
      int many = random.nextInt(10);
      int length = 16 + random.nextInt(16);
      int difference = 0;
      for (int i = 0; i < length; i++) {
        char letter = random.nextInt(10) < many ? 'A' : "CDE".charAt(random.nextInt(3));
        difference += letter == 'A' ? 1 : letter == 'C' ? -1 : 0;
        text.append(letter);
      }
      text.append(',').append(500 + 40.0 * difference / length).append('\n');
    }
    Files.writeString(temporary.resolve(name), text);
  }

  @Test
  void aRegressionLearnsAndItsExportPredictsInTheLabelsUnit() throws IOException {
    Recipe recipe = TinyRecipe.in(temporary, with(REGRESSION, "training.averageDecay=0.8"));
    assertThat(recipe.data().standardize().mean()).isBetween(490.0, 520.0);
    assertThat(recipe.model().classes()).isEqualTo(1);
    Path run = temporary.resolve("run");
    TrainJob.Outcome outcome = train(TrainJob.of(recipe, run));
    Evaluation best = outcome.result().best();
    assertThat(UnigramBaseline.of(recipe).loss()).isBetween(0.7, 1.5);
    assertThat(best.loss()).isLessThan(0.2);
    assertThat(best.accuracy()).isNaN();
    assertThat(best.more().get("r2")).isGreaterThan(0.8);
    assertThat(best.more().get("spearman")).isGreaterThan(0.9);
    double variance = Math.pow(recipe.data().standardize().deviation(), 2);
    assertThat(best.more().get("meanSquaredError"))
        .isCloseTo(variance * best.loss(), within(1e-3 * variance));
    assertThat(Files.readString(run.resolve("report.md")))
        .contains("validation spearman", "validation meanAbsoluteError")
        .doesNotContain("perplexity", "NaN");
    assertThat(metrics(run).toString()).contains("\"pearson\"").doesNotContain("NaN");
    // The same batches through the SavedModel.
    assertThat(meanSquaredError(recipe, outcome.model().orElseThrow()))
        .isCloseTo(best.more().get("meanSquaredError"), within(1e-3 * variance));
    Path exported = temporary.resolve("exported");
    RecipeTraining.export(
        run, run.resolve("checkpoints/step-" + outcome.result().bestStep()), exported, false);
    assertThat(PerformerModels.load(exported).weights())
        .isEqualTo(PerformerModels.load(outcome.model().get()).weights());
    // What starts with it starts as good as it was.
    TrainJob next =
        TrainJob.of(recipe, temporary.resolve("next")).startingFrom(exported).pausingAt(1);
    assertThat(train(next).result().before().loss()).isCloseTo(best.loss(), within(0.01));
  }

  @Test
  void aClassifierThatTheModelToStartFromLacksBeginsAnew() {
    Recipe recipe = TinyRecipe.in(temporary, with(REGRESSION, "training.learningRate=1e-9"));
    var encoder = recipe.model().with("task=encoder", "classes=0");
    Path from = temporary.resolve("encoder");
    Map<String, NpyArray> weights = initial(encoder);
    PerformerModels.write(encoder, weights, ModelCard.of(null, null, null, null), from, false);
    List<String> messages = new ArrayList<>();
    Progress listening =
        new Progress() {
          @Override
          public void message(String line) {
            messages.add(line);
          }
        };
    Path run = temporary.resolve("classifier");
    TrainJob.of(recipe, run).startingFrom(from).run(listening);
    assertThat(messages).anyMatch(line -> line.contains("classifier") && line.contains("anew"));
    var trained = PerformerModels.load(run.resolve("model")).weights();
    String kernel = "layer_0/mlp/in/kernel";
    assertThat(trained.get(kernel).floats())
        .usingComparatorWithPrecision(1e-5f)
        .containsExactly(weights.get(kernel).floats());
    assertThat(trained).containsKey("classifier/logits/kernel");

    var other = encoder.with("mlpSize=8");
    Path smaller = temporary.resolve("smaller");
    PerformerModels.write(
        other, initial(other), ModelCard.of(null, null, null, null), smaller, false);
    TrainJob next = TrainJob.of(recipe, temporary.resolve("none")).startingFrom(smaller);
    assertThatThrownBy(() -> train(next)).hasMessageContaining("layer_0/mlp/in/kernel");
  }

  private static Map<String, NpyArray> initial(PerformerConfig config) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.build(tf, variables, config, 3);
      variables.initialize(session);
      return PerformerModels.values(session, variables.all());
    }
  }

  /** Of as many batches as an evaluation has. */
  private static double meanSquaredError(Recipe recipe, Path model) {
    double sum = 0;
    int count = 0;
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model);
        var batches = recipe.data().batches(recipe.batchSize(), 0).validation().epoch(0)) {
      for (int n = 0; n < recipe.training().evaluationBatches() && batches.hasNext(); n++) {
        TokenBatch batch = batches.next();
        NpyArray tokens = NpyArray.of(batch.tokens(), batch.rows(), batch.length());
        float[] predicted =
            predictor.predict("serving_default", Map.of("tokens", tokens)).get("logits").floats();
        for (int row = 0; row < predicted.length; row++) {
          sum += Math.pow(predicted[row] - batch.values()[row], 2);
          count++;
        }
      }
    }
    return sum / count;
  }

  @Test
  void spansAreWrittenBetterThanTheirTokensAreFrequent() {
    Recipe recipe = TinyRecipe.in(temporary, SPANS);
    assertThat(recipe.model().decoderLayers()).isEqualTo(1);
    assertThat(recipe.model().shiftBos()).isNotNull();
    assertThat(recipe.data().spans().sentinels()).isEqualTo(3);
    assertThat(recipe.model().vocabularySize()).isEqualTo(29 + 3);
    Path run = temporary.resolve("run");
    TrainJob.Outcome outcome = train(TrainJob.of(recipe, run));
    Evaluation best = outcome.result().best();
    assertThat(best.perplexity()).isLessThan(0.6 * UnigramBaseline.of(recipe).perplexity());
    PerformerModels.Saved saved = PerformerModels.load(outcome.model().orElseThrow());
    assertThat(saved.config().task()).isEqualTo(Task.SEQUENCE_TO_SEQUENCE);
    assertThat(saved.card().vocabulary().tokens()).endsWith("<extra_id_1>", "<extra_id_2>");
    assertThat(loss(recipe, outcome.model().get())).isCloseTo(best.loss(), within(1e-4));
  }

  /** Cross-entropy of the same targets by the SavedModel, which knows padding by its id alone. */
  private static double loss(Recipe recipe, Path model) {
    double sum = 0;
    double count = 0;
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model);
        BatchSource batches =
            TokenBatchSource.evaluation(
                recipe.data().batches(recipe.batchSize(), 0).validation(), recipe.objective())) {
      for (int n = 0; n < recipe.training().evaluationBatches() && batches.hasNext(); n++) {
        LabelledBatch batch = batches.next();
        float[] logits =
            predictor
                .predict(
                    "serving_default",
                    Map.of(
                        "tokens", NpyArray.of(batch.inputs(), batch.rows(), batch.length()),
                        "decoder_tokens",
                            NpyArray.of(batch.targets(), batch.rows(), batch.guesses())))
                .get("logits")
                .floats();
        int size = recipe.model().vocabularySize();
        for (int i = 0; i < batch.targets().length; i++) {
          double total = 0;
          for (int id = 0; id < size; id++) {
            total += Math.exp(logits[i * size + id]);
          }
          sum += batch.weights()[i] * (Math.log(total) - logits[i * size + batch.targets()[i]]);
          count += batch.weights()[i];
        }
      }
    }
    return sum / count;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "task=regression data.train=train.csv data.validation=null training.accumulate=2",
        "task=sequence-to-sequence model.attention.redrawEvery=3 training.averageDecay=0.9"
      })
  void aResumedRunEqualsOneWithoutInterruption(String settings) throws IOException {
    Recipe recipe = TinyRecipe.in(temporary, settings.split(" "));
    Path whole = temporary.resolve("whole");
    Path parts = temporary.resolve("parts");
    train(TrainJob.of(recipe, whole));
    train(TrainJob.of(recipe, parts).pausingAt(7));
    Recipe again = Recipe.ofRun(parts);
    assertThat(again).isEqualTo(recipe);
    train(TrainJob.of(again, parts).resuming(true));
    assertThat(metrics(parts)).isEqualTo(metrics(whole)).hasSizeGreaterThan(10);
    assertThat(Files.readAllBytes(parts.resolve("model/variables/variables.data-00000-of-00001")))
        .isEqualTo(
            Files.readAllBytes(whole.resolve("model/variables/variables.data-00000-of-00001")));
  }

  @ParameterizedTest
  @Tag("slow")
  @ValueSource(
      strings = {
        "task=regression data.train=train.csv data.validation=valid.csv model.attention={kernel: softmax}",
        "task=sequence-to-sequence model.attention.redrawEvery=3"
      })
  void xlaComputesTheSameSteps(String settings) {
    List<String> keys = new ArrayList<>(List.of(settings.split(" (?![^{]*})")));
    keys.addAll(List.of("data.bucket=32", "training.steps=6", "training.batchTokens=512"));
    Evaluation plain = trained("plain", keys);
    keys.add("training.xla=true");
    Evaluation compiled = trained("compiled", keys);
    assertThat(compiled.loss()).isCloseTo(plain.loss(), within(1e-4 * plain.loss()));
  }

  private Evaluation trained(String name, List<String> keys) {
    Recipe recipe = TinyRecipe.in(temporary, keys.toArray(String[]::new));
    return train(TrainJob.of(recipe, temporary.resolve(name))).result().best();
  }

  @Test
  void textsOfBytesHaveSpansToo() throws IOException {
    Files.writeString(temporary.resolve("text.txt"), "All work and no play. ".repeat(200));
    Recipe recipe =
        recipe(
            "task=sequence-to-sequence",
            "data={train: text.txt, length: 32}",
            "training.steps=2",
            "training.evaluateEvery=2");
    assertThat(recipe.model().vocabularySize()).isEqualTo(259 + 3);
    assertThat(recipe.model().shiftBos()).isZero(); // padding, as in T5
    TrainJob.Outcome outcome = train(TrainJob.of(recipe, temporary.resolve("run")));
    assertThat(outcome.model()).isPresent();
  }

  @Test
  void classesCountTheSameHoweverRare() {
    ClassTally tally = new ClassTally(3);
    int[] targets = {0, 0, 0, 1};
    float[] logits = {5, 0, 0, 5, 0, 0, 0, 5, 0, 0, 5, 0};
    tally.add(
        new LabelledBatch(4, 1, new int[4], new int[4], targets, new float[] {1, 1, 1, 1}), logits);
    assertThat(tally.result(0).get("macroAccuracy")).isCloseTo((2 / 3.0 + 1) / 2, within(1e-12));
    assertThat(tally.result(0).get("macroF1")).isCloseTo((0.8 + 2 / 3.0) / 2, within(1e-12));
  }

  @Test
  void ranksShareTheirMeanWhereNumbersAreTheSame() {
    RegressionTally tally = new RegressionTally(new Standardization(10, 2));
    float[] labels = {-1, 0, 0, 3};
    float[] predictions = {-2, 1, -1, 2};
    int[] none = new int[4];
    tally.add(
        new LabelledBatch(
            4, 1, none, none, new int[0], new float[] {1, 1, 1, 1}, labels, new int[0]),
        predictions);
    Map<String, Double> measures = tally.result(0);
    assertThat(measures.get("meanSquaredError")).isCloseTo(4.0, within(1e-12));
    assertThat(measures.get("meanAbsoluteError")).isCloseTo(2.0, within(1e-12));
    // Ranks 0 2 1 3 and 0 1.5 1.5 3: 4.5 / √(5 · 4.5); the numbers themselves: 8 / √(10 · 9).
    assertThat(measures.get("spearman")).isCloseTo(4.5 / Math.sqrt(22.5), within(1e-12));
    assertThat(measures.get("pearson")).isCloseTo(8 / Math.sqrt(90), within(1e-12));
    assertThat(measures.get("r2")).isCloseTo(1 - 1 / 2.25, within(1e-12));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "task=regression | task regression needs numbers, which data.kind fasta has not",
        "task=regression data.train=blank.csv | blank.csv, row 3 (line 3): label '' is not a finite number",
        "task=regression data.train=equal.csv | every label is 2.0; a regression needs labels",
        "task=regression data.train=train.csv model.classes=2 | task regression guesses one number",
        "task=regression data.train=train.csv training.zLoss=0.1 | make no sense with task regression",
        "task=regression data.train=train.csv data.standardize={mean:0,deviation:0} | a deviation above 0",
        "data.standardize={mean:0,deviation:1} | data.standardize makes sense with task regression only",
        "data.spans={rate:0.1} | data.spans makes sense with task sequence-to-sequence only",
        "task=sequence-to-sequence data.masking=bert | data.masking makes no sense with task sequence",
        "task=sequence-to-sequence data.spans={rate:1.5} | data.spans: rate must be between 0 and 1",
        "task=sequence-to-sequence data.spans={lenght:3} | unknown key spans.lenght; did you mean length?",
        "task=sequence-to-sequence data.label=x | data.label makes no sense with task sequence",
        "task=sequence-to-sequence model.shiftBos=null | needs model.shiftBos",
        "task=sequence-to-sequence data={kind:copy} | and data.kind copy do not go together",
        "task=sequence-to-sequence model.maxLength=32 data.spans={rate:0.5,length:1} | writes up to 33",
        "task=sequence-to-sequence model.decoderAttention={exact:true,causal:false} | needs a causal",
      })
  void refusesWhatCannotBe(String wrong) throws IOException {
    Files.writeString(temporary.resolve("blank.csv"), "sequence,label\nACD,1.5\nCDE,\nACC,2\n");
    Files.writeString(temporary.resolve("equal.csv"), "sequence,label\nACD,2\nCDE,2\nACC,2\n");
    String[] parts = wrong.split(" \\| ");
    String[] settings = parts[0].replace(":", ": ").split(" (?![^{]*})");
    assertThatThrownBy(() -> TinyRecipe.in(temporary, settings))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(parts[1]);
  }

  @Test
  void evaluationsOfOlderRunsAreRead() throws IOException {
    ObjectMapper json = new ObjectMapper();
    String old =
        "{\"loss\":1.0,\"accuracy\":0.5,\"perplexity\":2.7,\"guesses\":4,\"sequences\":2,\"seconds\":0.1}";
    Evaluation evaluation = json.readValue(old, Evaluation.class);
    assertThat(evaluation.more()).isEmpty();
    assertThat(json.readTree(json.writeValueAsString(evaluation))).isEqualTo(json.readTree(old));
    Evaluation numbers =
        new Evaluation(1, Double.NaN, Double.NaN, 4, 2, 0.1, Map.of("spearman", 0.5));
    assertThat(json.readValue(json.writeValueAsString(numbers), Evaluation.class))
        .isEqualTo(numbers);
    assertThat(numbers.measures()).containsOnlyKeys("loss", "spearman");
  }

  private Recipe recipe(String... settings) {
    return Recipe.of(
        new Overrides(List.of(settings)).over(TinyRecipe.tree(TinyRecipe.TEXT)),
        "tiny.yaml",
        List.of(temporary));
  }

  private static String[] with(String[] settings, String... more) {
    List<String> all = new ArrayList<>(List.of(settings));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  private static TrainJob.Outcome train(TrainJob training) {
    return training.run(Progress.silent());
  }

  private static List<ObjectNode> metrics(Path run) throws IOException {
    List<ObjectNode> lines = new ArrayList<>();
    for (String line : Files.readAllLines(run.resolve("metrics.jsonl"))) {
      lines.add(((ObjectNode) new ObjectMapper().readTree(line)).remove(TIMES));
    }
    return lines;
  }
}
