package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.Tokenizer;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.training.ImportedTask.Pooling;
import dev.performer.training.LoopOptions;
import dev.performer.training.LossTerm;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Tensor;

/** From labelled examples to a model that guesses them, on small models that Python made. */
class FineTuneTaskTest {
  @TempDir Path folder;
  private Path table;
  private Path arrays;

  /** Letters, of which A to E and V are vowels, so to speak. */
  @BeforeEach
  void write() throws IOException {
    SplittableRandom random = new SplittableRandom(5);
    List<String> texts =
        IntStream.range(0, 80)
            .mapToObj(
                row ->
                    IntStream.range(0, 4 + random.nextInt(9))
                        .mapToObj(i -> "ABCDEFGHIJ".charAt(random.nextInt(10)) + "")
                        .collect(Collectors.joining()))
            .toList();
    table = folder.resolve("rows.csv");
    String rows =
        texts.stream()
            .map(
                t -> {
                  long many = t.chars().filter(c -> c < 'F').count();
                  String tags = t.replaceAll("[A-E]", "v").replaceAll("[F-J]", "c");
                  String sets = (t.contains("A") ? "a;" : "") + (t.contains("J") ? "j" : "");
                  return String.join(
                      ",",
                      t,
                      2 * many > t.length() ? "soft" : "hard",
                      tags,
                      sets,
                      t.contains("A") ? "1" : "0",
                      t.contains("J") ? "true" : many == 3 ? "" : "false",
                      10 + 8.0 * many / t.length() + "",
                      -1.0 * t.chars().filter(c -> c == 'B').count() / t.length() + "");
                })
            .collect(Collectors.joining("\n"));
    Files.writeString(table, "text,label,tags,sets,a,j,share,negative\n" + rows + "\n");
    Map<String, NpyArray> all = new TreeMap<>(ReferenceModels.arrays("made/tasks", "expected.npz"));
    all.values().removeIf(array -> array.shape().length == 0 || array.shape()[0] != 4);
    all.keySet().removeIf(name -> name.contains("/"));
    arrays = folder.resolve("arrays.npz");
    Npz.write(arrays, all);
  }

  private static Model model(String name) {
    Path path = ReferenceModels.directory("made/tasks").resolve(name);
    var letters = Tokenizer.named("letters:ABCDEFGHIJ");
    return Model.open(path, ModelOptions.DEFAULT.withTokenizer(letters));
  }

  private static LoopOptions loop() {
    return LoopOptions.of("steps=40", "learningRate=0.03", "evaluateEvery=20");
  }

  private FineTuneJob job(Model model, FineTuneTask task, Path data, String run) {
    return FineTuneJob.of(model, task, data, folder.resolve(run))
        .batching(SequenceBatching.LABELLED.withSize(new BatchSize.Sequences(16)))
        .options(loop());
  }

  @ParameterizedTest
  @CsvSource({
    "CLASSIFICATION, label, 0.85, soft, accuracy",
    "TOKEN_CLASSIFICATION, tags, 0.99, v, accuracy",
    "MULTI_LABEL, sets, 0.75, a, auroc",
    "MULTI_LABEL, a+j, 0.75, a, auroc",
    "REGRESSION, share+negative, 0.6, share, pearson",
    "REGRESSION, share, 0.8, share, pearson"
  })
  void learnsWhatATableHolds(Kind kind, String labels, double least, String name, String measure) {
    FineTuneTask task = FineTuneTask.of(kind).withColumns("text", labels.split("\\+"));
    FineTuneJob job = job(model("encoder"), task, table, "run");
    Job.Outcome outcome = job.validation(table).run(new Progress() {});
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    Path exported = outcome.model().orElseThrow();
    ModelCard card = ModelCard.read(exported).orElseThrow();
    assertThat(card.task().classes()).contains(name);
    assertThat(outcome.result().best().measures().get(measure)).isGreaterThan(least);
    Evaluation again = Evaluator.of(Model.open(exported)).evaluate(table).evaluation();
    assertThat(again.measures().keySet()).isEqualTo(outcome.result().best().measures().keySet());
    assertThat(again.sequences()).isEqualTo(80);
    SavedModelDirectory directory = SavedModelDirectory.open(exported);
    assertThat(directory.signature("serving_default").outputs().keySet())
        .contains(kind.hasNumbers() ? "values" : "probabilities", "last_hidden_state");
    assertThat(directory.variables().stream().filter(v -> v.trainable())).hasSize(5);
  }

  /** The unit in which numbers are learnt is that of evaluation, too. */
  @Test
  void evaluationIsThatOfTraining() throws IOException {
    Path held = folder.resolve("held.csv");
    List<String> lines = Files.readAllLines(table);
    Files.write(held, lines.subList(0, 30));
    for (Kind kind : List.of(Kind.CLASSIFICATION, Kind.REGRESSION)) {
      String label = kind.hasNumbers() ? "share" : "label";
      FineTuneTask task = FineTuneTask.of(kind).withColumns("text", label);
      var outcome =
          job(model("encoder"), task, table, label).validation(held).run(new Progress() {});
      Evaluator evaluator = Evaluator.of(Model.open(outcome.run()));
      double loss = evaluator.evaluate(held).evaluation().loss();
      assertThat(loss).isCloseTo(outcome.result().best().loss(), within(1e-6));
    }
  }

  @Test
  void aRunGoesOnBitForBit() {
    FineTuneTask task = FineTuneTask.of(Kind.TOKEN_CLASSIFICATION).withColumns("text", "tags");
    var whole = job(model("encoder"), task, table, "whole").run(new Progress() {});
    FineTuneJob stopped = job(model("encoder"), task, table, "parts");
    Progress stopping =
        new Progress() {
          @Override
          public void step(long step, double loss, double tokensPerSecond) {
            if (step == 13) {
              stopped.stop();
            }
          }
        };
    assertThat(stopped.run(stopping).model()).isEmpty();
    var rest = job(model("encoder"), task, table, "parts").resuming(true).run(new Progress() {});
    assertThat(weights(rest)).isEqualTo(weights(whole));
    FineTuneTask other = task.withPooling(Pooling.FIRST);
    assertThatThrownBy(
            () ->
                job(model("encoder"), other, table, "parts").resuming(true).run(new Progress() {}))
        .hasMessageContaining("pooling was MEAN and is now FIRST");
  }

  private static Map<String, NpyArray> weights(Job.Outcome outcome) {
    Map<String, NpyArray> weights = new TreeMap<>();
    var directory = SavedModelDirectory.open(outcome.model().orElseThrow());
    try (CheckpointReader reader = CheckpointReader.open(directory.variablesPrefix())) {
      for (var variable : directory.variables()) {
        try (Tensor tensor = reader.tensor(variable.checkpointKey())) {
          float[] values = Tensors.floats(tensor);
          weights.put(variable.name(), NpyArray.of(values, values.length));
        }
      }
    }
    return weights;
  }

  @Test
  void lossesOfOutputsTrainAModelAsItIs() {
    FineTuneTask task =
        FineTuneTask.of(
            LossTerm.parse("level=mse:levels"),
            LossTerm.parse("splice=cross-entropy-of-probabilities:ids*0.5"));
    var outcome = job(model("maps"), task, arrays, "run").validation(arrays).run(new Progress() {});
    var result = outcome.result();
    assertThat(result.best().loss()).isLessThan(0.8 * result.before().loss());
    assertThat(result.best().more())
        .containsOnlyKeys("level.mse", "splice.cross-entropy-of-probabilities");
    Path exported = outcome.model().orElseThrow();
    Evaluation again = Evaluator.of(Model.open(exported)).evaluate(arrays).evaluation();
    assertThat(again.loss()).isCloseTo(result.best().loss(), within(1e-6));
    try (var predictor = SavedModelPredictor.load(exported)) {
      var outputs = predictor.predict("serving_default", Map.of("x", Npz.read(arrays).get("x")));
      assertThat(outputs)
          .containsOnlyKeys("classes", "level", "note", "onset", "pooled", "single", "splice");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "CLASSIFICATION, pooled, class, true",
    "CLASSIFICATION, single, binary, true",
    "TOKEN_CLASSIFICATION, classes, some, false",
    "TOKEN_CLASSIFICATION, splice, ids, true",
    "REGRESSION, level, levels, false"
  })
  void theModelsOwnOutputLearns(Kind kind, String output, String labels, boolean probabilities) {
    FineTuneTask task =
        FineTuneTask.of(kind).withOwnOutput(output, probabilities).withColumns(null, labels);
    var outcome = job(model("maps"), task, arrays, "run").validation(arrays).run(new Progress() {});
    assertThat(outcome.result().best().loss()).isLessThan(0.92 * outcome.result().before().loss());
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    Evaluation again = Evaluator.of(Model.open(outcome.run())).evaluate(arrays).evaluation();
    assertThat(again.loss()).isCloseTo(outcome.result().best().loss(), within(1e-6));
  }

  @Test
  void foldersOfImagesAreClasses() throws IOException {
    SplittableRandom random = new SplittableRandom(4);
    for (String colour : List.of("red", "blue")) {
      Files.createDirectories(folder.resolve("images").resolve(colour));
      for (int i = 0; i < 20; i++) {
        BufferedImage image = new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB);
        for (int pixel = 0; pixel < 64; pixel++) {
          int bright = 60 + random.nextInt(150) << (colour.equals("red") ? 16 : 0);
          image.setRGB(pixel % 8, pixel / 8, bright | random.nextInt(60) << 8);
        }
        ImageIO.write(image, "png", folder.resolve("images/" + colour + "/" + i + ".png").toFile());
      }
    }
    Path images = folder.resolve("images");
    FineTuneTask task = FineTuneTask.of(Kind.CLASSIFICATION).withPixels(-1, 1);
    var outcome =
        job(model("images"), task, images, "run").validation(images).run(new Progress() {});
    assertThat(outcome.result().best().accuracy()).isGreaterThan(0.9);
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    Evaluator evaluator = Evaluator.of(Model.open(outcome.run()));
    double loss = evaluator.evaluate(images).evaluation().loss();
    assertThat(loss).isCloseTo(outcome.result().best().loss(), within(1e-6));
    Path odd = images.resolve("red/odd.png");
    ImageIO.write(new BufferedImage(9, 8, 1), "png", odd.toFile());
    assertThatThrownBy(() -> evaluator.evaluate(images))
        .hasMessage(odd + " has 9 × 8 pixels, expected 8 × 8; scale the images first");
  }

  @Test
  void recordsHaveTextsAndLabels() {
    Path file = Path.of("src/test/resources/data/labelled.tfrecord.gz");
    Path path = ReferenceModels.directory("made/tasks").resolve("encoder");
    var letters = ModelOptions.DEFAULT.withTokenizer(Tokenizer.named("letters:ACDEFKMVW"));
    Model encoder = Model.open(path, letters);
    FineTuneTask task = FineTuneTask.of(Kind.CLASSIFICATION).withColumns("sequence", "family");
    var outcome = job(encoder, task, file, "run").validation(file).run(new Progress() {});
    assertThat(outcome.result().best().sequences()).isEqualTo(3);
    assertThat(outcome.result().best().loss()).isLessThan(outcome.result().before().loss());
    FineTuneTask alike = FineTuneTask.of(Kind.REGRESSION).withColumns("sequence", "stability");
    assertThatThrownBy(() -> job(encoder, alike, file, "other").run(new Progress() {}))
        .hasMessageContaining("stability 1: every label is 9.0"); // its second value
    FineTuneTask wrong = FineTuneTask.of(Kind.CLASSIFICATION).withColumns("sequence", "lable");
    assertThatThrownBy(() -> job(encoder, wrong, file, "other").run(new Progress() {}))
        .hasMessageContaining("no feature 'lable'");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "CLASSIFICATION | text | labell | has no column 'labell'",
        "CLASSIFICATION | txt | label | has no column 'txt'",
        "CLASSIFICATION | text | text | column 'text' cannot be text and label",
        "CLASSIFICATION | text | label,a | classification needs one column of labels, not 2",
        "REGRESSION | text | tags | label 'cccvv' is not a finite number",
        "REGRESSION | text | one | 'one': every label is 7.0; a regression needs labels that differ",
        "CLASSIFICATION | text | one | 'one' has one class only, 7; there is nothing to tell apart",
        "MULTI_LABEL | text | one,a | column 'one' is '7'; expected 0 or 1",
        "TOKEN_CLASSIFICATION | text | two | 2 classes, but the text has 1 word of 5 letters",
      })
  void refusesTablesThatDoNotFit(Kind kind, String text, String labels, String message)
      throws IOException {
    Files.writeString(
        table, "text,label,tags,one,a,two\nFGHAB,x,cccvv,7,0,v c\nFGHAA,y,cccvv,7,1,v v\n");
    FineTuneTask task = FineTuneTask.of(kind).withColumns(text, labels.split(","));
    assertThatThrownBy(() -> job(model("encoder"), task, table, "run").run(new Progress() {}))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message.replace("'one': every", "one: every"));
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void refusesLabelsThatTrainingHasNot() throws IOException {
    Path held = folder.resolve("held.csv");
    Files.writeString(held, "text,label\nABC,soft\nABC,mellow\n");
    FineTuneTask task = FineTuneTask.of(Kind.CLASSIFICATION);
    assertThatThrownBy(
            () -> job(model("encoder"), task, table, "run").validation(held).run(new Progress() {}))
        .hasMessageContaining("row 3 (line 3): class 'mellow' is not among the 2 known");
    Model nothing = Model.open(ReferenceModels.directory("made/tasks").resolve("encoder"));
    assertThatThrownBy(() -> job(nothing, task, table, "run").run(new Progress() {}))
        .hasMessageContaining("give its tokenizer or vocabulary");
    assertThatThrownBy(() -> job(model("maps"), task, arrays, "run").run(new Progress() {}))
        .hasMessageContaining("has no array of labels of the names label, labels, target");
    FineTuneTask several = task.withColumns(null, "class");
    assertThatThrownBy(() -> job(model("maps"), several, arrays, "run").run(new Progress() {}))
        .hasMessageContaining("has more than one output");
    assertThat(folder.resolve("run")).doesNotExist();
  }
}
