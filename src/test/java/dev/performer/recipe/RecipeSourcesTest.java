package dev.performer.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.Overrides;
import dev.performer.data.TokenBatch;
import dev.performer.model.PerformerConfig;
import dev.performer.pipeline.TrainJob;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.UnigramBaseline;
import dev.performer.training.BatchSource;
import dev.performer.training.LabelledBatch;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Recipes on all kinds of data. */
class RecipeSourcesTest {
  private static final String SMALL =
      """
      model: {layers: 1, hiddenSize: 16, heads: 2, mlpSize: 32, attention: {kernel: relu, features: 8}}
      training: {steps: 30, batchTokens: 512, learningRate: 1.0e-2, warmupSteps: 3, schedule: constant,
        evaluateEvery: 0, evaluationBatches: 4, checkpointEvery: 0, diagnosticsEvery: 0}
      """;

  @TempDir Path temporary;

  @Test
  void pixelsAreAllGuessedAndTheFileSaysHowDeepTheyAre() {
    Recipe recipe =
        recipe(
            "task: causal-lm\ndata: {train: training/data/digits_train.npz, validation:"
                + " training/data/digits_valid.npz}",
            "training.steps=80");
    assertThat(recipe.data().kind()).isEqualTo(RecipeData.Kind.PIXELS);
    assertThat(recipe.data().length()).isEqualTo(65); // a begin token and 8 × 8
    assertThat(recipe.model().vocabularySize()).isEqualTo(19); // 17 levels, begin, padding
    TrainingResult result = train(recipe, "pixels");
    assertThat(result.before().guesses() % 64).isZero();
    assertThat(result.after().loss())
        .isLessThan(UnigramBaseline.of(recipe).loss())
        .isLessThan(result.before().loss());
    // What a run records of itself is enough to go on, without the file.
    Recipe again = Recipe.ofRun(temporary.resolve("pixels"));
    assertThat(again.data().tokens()).isEqualTo(recipe.data().tokens());
    assertThat(again.model()).isEqualTo(recipe.model());
  }

  @Test
  void imagesAreClassified() {
    Recipe recipe =
        recipe(
            "task: classification\ndata: {train: training/data/digits_train.npz}",
            "training.steps=600",
            "training.evaluationBatches=0",
            "model.positions=learned");
    assertThat(recipe.model().classes()).isEqualTo(10);
    assertThat(recipe.data().length()).isEqualTo(64);
    TrainingResult result = train(recipe, "digits");
    assertThat(result.before().accuracy()).isLessThan(0.4);
    assertThat(result.after().accuracy()).isGreaterThan(0.75);
    assertThat(result.before().guesses()).isEqualTo(result.before().sequences());
    PerformerModels.Saved saved = PerformerModels.load(temporary.resolve("digits/model"));
    assertThat(saved.config().classes()).isEqualTo(10);
  }

  @Test
  void tablesAreClassifiedByTheNamesOfTheirLabels() throws IOException {
    StringBuilder table = new StringBuilder("id\tsequence\tlabel\n");
    Random random = new Random(1);
    for (int i = 0; i < 400; i++) {
      boolean first = random.nextBoolean();
      table.append(i).append('\t');
      for (int j = 0; j < 12; j++) {
        table.append((first ? "ACDE" : "WYVT").charAt(random.nextInt(4)));
      }
      table.append('\t').append(first ? "early" : "late").append('\n');
    }
    Files.writeString(temporary.resolve("t.tsv"), table);
    Recipe recipe = recipe("task: classification\ndata: {train: t.tsv, length: 16}");
    assertThat(recipe.model().classes()).isEqualTo(2);
    assertThat(recipe.data().end()).isTrue();
    assertThat(train(recipe, "table").after().accuracy()).isGreaterThan(0.95);
  }

  @Test
  void textGoesThroughATokenizerFile() throws IOException {
    Files.writeString(
        temporary.resolve("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n");
    Files.writeString(temporary.resolve("t.txt"), "a b c a b c a b c\n".repeat(100));
    Recipe recipe =
        recipe("task: causal-lm\ndata: {train: t.txt, vocabulary: vocab.txt, length: 20}");
    assertThat(recipe.data().kind()).isEqualTo(RecipeData.Kind.TEXT);
    assertThat(recipe.model().vocabularySize()).isEqualTo(8);
    try (var batches = recipe.data().batches(recipe.batchSize(), 1).train().epoch(0)) {
      TokenBatch batch = batches.next();
      assertThat(batch.lengths()[0]).isEqualTo(20); // lines packed, [SEP] between them
      assertThat(batch.tokens()).contains(3).doesNotContain(1);
    }
    assertThat(train(recipe, "text").after().accuracy()).isGreaterThan(0.5);
    Recipe without =
        recipe(
            "task: causal-lm\ndata: {train: t.txt, vocabulary: vocab.txt, length: 20, end: false}");
    try (var batches = without.data().batches(without.batchSize(), 1).train().epoch(0)) {
      TokenBatch batch = batches.next();
      assertThat(batch.lengths()[0]).isEqualTo(20);
      assertThat(batch.tokens()).doesNotContain(3);
    }
  }

  @Test
  void onlyAnswersOfExercisesCountAndShortOnesComeFirstInTrainingAlone() {
    Recipe recipe =
        recipe(
            "task: causal-lm\ndata: {kind: retrieval, length: 64, bucket: 16, exercise: {pairs: 2,"
                + " keys: 4, values: 4, fillers: 2, shortest: 16, examples: 500, validation: 8}}");
    Set<Integer> lengths = new HashSet<>();
    try (var batches = recipe.data().batches(recipe.batchSize(), 1).train().epoch(0)) {
      while (batches.hasNext()) {
        TokenBatch batch = batches.next();
        lengths.add(batch.length());
        LabelledBatch labelled = recipe.objective().label(batch, recipe.data().tokens(), 1, 0);
        float sum = 0;
        for (float weight : labelled.weights()) {
          sum += weight;
        }
        assertThat(sum).isEqualTo(2f * batch.rows());
      }
    }
    assertThat(lengths).containsExactlyInAnyOrder(16, 32, 64);
    try (BatchSource validation =
        TokenBatchSource.evaluation(
            recipe.data().batches(recipe.batchSize(), 1).validation(), recipe.objective())) {
      validation.restore(BatchPosition.START);
      assertThat(validation.next().length()).isEqualTo(64);
    }
    // Two of four values, by chance: what is learnt without a look at the keys.
    assertThat(train(recipe, "retrieval").after().loss()).isLessThan(Math.log(7));
  }

  @Test
  void aRunStartsWithAnothersWeights() {
    Recipe exact = TinyRecipe.in(temporary, "model.attention={exact: true}");
    TrainingResult first = TrainJob.of(exact, temporary.resolve("exact")).run(quiet()).result();
    Recipe favor = TinyRecipe.in(temporary, "model.attention={exact: true}", "training.seed=9");
    TrainJob second =
        TrainJob.of(favor, temporary.resolve("second"))
            .startingFrom(temporary.resolve("exact/model"));
    TrainingResult result = second.run(quiet()).result();
    assertThat(result.before().loss()).isEqualTo(first.best().loss());
    Recipe wide = TinyRecipe.in(temporary, "model.hiddenSize=32");
    assertThatThrownBy(
            () ->
                TrainJob.of(wide, temporary.resolve("wide"))
                    .startingFrom(temporary.resolve("exact/model"))
                    .run(quiet()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("the model to start from has another shape of");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{kind: copy, train: t.csv} | make no sense with data.kind copy, which is made up",
        "{kind: copy, length: 16, exercise: {symbols: 1}} | symbols must be at least 2",
        "{kind: retrieval, length: 16, exercise: {pairs: 9}} | data.exercise: length 16 is too short for 9 pairs",
        "{kind: retrieval, exercise: {pears: 9}} | unknown key exercise.pears; did you mean pairs?",
        "{kind: listops, length: 64} | data.kind listops is of classes; expected task classification",
        "{train: t.csv, exercise: {pairs: 9}} | data.exercise needs data.kind copy or retrieval",
        "{kind: pixels, train: t.csv, vocabulary: bytes} | data.vocabulary makes no sense with data.kind pixels",
        "{train: t.csv, levels: 1} | data.levels must be from 2 to 256",
        "{kind: text, train: t.csv, vocabulary: google-protein} | data.kind text and data.vocabulary google-protein do not go",
        "{train: t.csv, vocabulary: gone.json} | the data file gone.json does not exist",
      })
  void refusesWhatCannotBe(String wrong) throws IOException {
    Files.writeString(temporary.resolve("t.csv"), "text,label\nACD,1\n");
    String[] parts = wrong.split(" \\| ");
    assertThatThrownBy(() -> recipe("task: causal-lm\ndata: " + parts[0]))
        .isInstanceOf(PerformerException.class)
        .hasMessageStartingWith("tiny.yaml")
        .hasMessageContaining(parts[1]);
  }

  @Test
  void listsAreExamplesOfTenClasses() {
    Recipe recipe =
        recipe(
            "task: classification\ndata: {kind: listops, length: 48, exercise: {validation: 9}}");
    assertThat(recipe.model().classes()).isEqualTo(10);
    assertThat(recipe.model().vocabularySize()).isEqualTo(16);
    TrainingResult result = train(recipe, "lists");
    assertThat(result.before().guesses()).isEqualTo(9);
    assertThat(result.after().loss()).isLessThan(result.before().loss());
    assertThat(Recipe.ofRun(temporary.resolve("lists")).data()).isEqualTo(recipe.data());
    assertThatThrownBy(
            () -> recipe("task: classification\ndata: {kind: listops, exercise: {depth: 1}}"))
        .hasMessageContaining("data.exercise: lists of depth 1");
  }

  @Test
  void whatIsMadeUpHasALengthOfItsOwn() {
    Recipe recipe = recipe("task: causal-lm\ndata: {kind: retrieval}");
    assertThat(recipe.data().length()).isEqualTo(512);
  }

  @Test
  void refusesClassesThatNobodySays() throws IOException {
    Files.writeString(temporary.resolve("one.csv"), "sequence,label\nACD,a\nACE,a\n");
    assertThatThrownBy(() -> recipe("task: classification\ndata: {train: one.csv}"))
        .hasMessageContaining("does not say how many; name its label column, or set model.classes");
    Files.writeString(temporary.resolve("none.csv"), "sequence,family\nACD,a\nACE,b\n");
    assertThatThrownBy(() -> recipe("task: classification\ndata: {train: none.csv}"))
        .hasMessageContaining("no column 'label'; its first row names sequence, family");
    PerformerConfig model =
        recipe("task: classification\ndata: {train: none.csv, label: family}").model();
    assertThat(model.classes()).isEqualTo(2);
  }

  @Test
  void imagesInMnistsFormatAreClassifiedByTheLabelsBesideThem() throws IOException {
    writeIdx("train", 40, 3);
    writeIdx("t10k", 6, 2);
    String head = "task: classification\ndata: {train: train-images-idx3-ubyte, validation: ";
    Recipe recipe = recipe(head + "t10k-images-idx3-ubyte}", "training.steps=2");
    assertThat(recipe.model().classes()).isEqualTo(3);
    assertThat(recipe.data().label()).endsWith("train-labels-idx1-ubyte");
    assertThat(train(recipe, "idx").after().sequences()).isEqualTo(6);
    Files.move(
        temporary.resolve("train-labels-idx1-ubyte"), temporary.resolve("classes-idx1-ubyte"));
    assertThat(
            recipe(head + "t10k-images-idx3-ubyte, label: classes-idx1-ubyte}").model().classes())
        .isEqualTo(3);
    assertThatThrownBy(() -> recipe(head + "t10k-images-idx3-ubyte}"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("train-labels-idx1-ubyte does not exist");
    // A language model of the same images asks for no labels.
    assertThat(recipe("task: causal-lm\ndata: {train: train-images-idx3-ubyte}").data().label())
        .isNull();
  }

  @Test
  void classesOfTfRecordsAreCounted() throws IOException {
    Path file = temporary.resolve("t.tfrecord.gz");
    Files.copy(Path.of("src/test/resources/data/labelled.tfrecord.gz"), file);
    Recipe recipe =
        recipe(
            "task: classification\ndata: {train: t.tfrecord.gz, validation: t.tfrecord.gz, label:"
                + " family}",
            "training.steps=2");
    assertThat(recipe.model().classes()).isEqualTo(2);
    assertThat(train(recipe, "tfrecord").after().sequences()).isEqualTo(3);
    assertThatThrownBy(
            () -> recipe("task: classification\ndata: {train: t.tfrecord.gz, label: stability}"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("record 1: label 'stability' holds floats; expected an integer");
    assertThatThrownBy(() -> recipe("task: classification\ndata: {train: t.tfrecord.gz}"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("record 1: no feature 'label'; it has [family, id, ");
  }

  @Test
  void classesThatTheModelLacksAreRefused() throws IOException {
    writeIdx("train", 40, 2);
    writeIdx("t10k", 6, 3);
    Recipe recipe =
        recipe(
            "task: classification\ndata: {train: train-images-idx3-ubyte, validation:"
                + " t10k-images-idx3-ubyte}");
    assertThatThrownBy(() -> train(recipe, "more"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("an example has class 2, but the model has 2 classes");
  }

  @Test
  void classesOfFoldersAreThoseOfTraining() throws IOException {
    for (String name : List.of("train/a", "train/b", "train/c", "valid/b", "valid/c", "odd/d")) {
      Path folder = Files.createDirectories(temporary.resolve(name));
      ImageIO.write(new BufferedImage(3, 2, 1), "png", folder.resolve("x.png").toFile());
    }
    String head = "task: classification\ndata: {train: train, validation: ";
    Recipe recipe = recipe(head + "valid}", "training.steps=2");
    assertThat(recipe.data().format().classNames(recipe.data())).containsExactly("a", "b", "c");
    try (var batches = recipe.data().batches(recipe.batchSize(), 1).validation().epoch(0)) {
      assertThat(batches.next().categories()).containsExactly(1, 2);
    }
    Recipe odd = recipe(head + "odd}");
    assertThatThrownBy(() -> train(odd, "odd-run"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("is none of the 3 known classes [a, b, c]");
  }

  private void writeIdx(String name, int images, int classes) throws IOException {
    ByteBuffer pixels = ByteBuffer.allocate(16 + 4 * images);
    pixels.putInt(0x803).putInt(images).putInt(2).putInt(2);
    ByteBuffer labels = ByteBuffer.allocate(8 + images).putInt(0x801).putInt(images);
    for (int i = 0; i < images; i++) {
      pixels.putInt(i * 0x01030507);
      labels.put((byte) (i % classes));
    }
    Files.write(temporary.resolve(name + "-images-idx3-ubyte"), pixels.array());
    Files.write(temporary.resolve(name + "-labels-idx1-ubyte"), labels.array());
  }

  private Recipe recipe(String head, String... settings) {
    Recipe recipe = parsed(head, settings);
    assertThat(recipe.model()).as("opened").isNotNull();
    return recipe;
  }

  private Recipe parsed(String head, String... settings) {
    return Recipe.of(
        new Overrides(List.of(settings)).over(TinyRecipe.tree(head + "\n" + SMALL)),
        "tiny.yaml",
        List.of(temporary));
  }

  @Test
  void parsingReadsNoData() throws IOException {
    // Nothing that could be read: parsing would fail.
    Files.writeString(temporary.resolve("empty.csv"), "");
    Files.writeString(temporary.resolve("broken.npz"), "no zip");
    Files.writeString(temporary.resolve("broken.tfrecord"), "no record");
    for (String head :
        List.of(
            "task: classification\ndata: {train: empty.csv}",
            "task: regression\ndata: {train: empty.csv}",
            "task: classification\ndata: {train: broken.tfrecord}",
            "task: causal-lm\ndata: {train: broken.npz}")) {
      Recipe recipe = parsed(head);
      assertThat(recipe.training().steps()).isPositive();
      assertThatThrownBy(recipe::data)
          .isInstanceOf(PerformerException.class)
          .hasMessageStartingWith("tiny.yaml");
    }
  }

  private TrainingResult train(Recipe recipe, String name) {
    return TrainJob.of(recipe, temporary.resolve(name)).run(quiet()).result();
  }

  private static Progress quiet() {
    return Progress.lines(new PrintStream(new ByteArrayOutputStream()));
  }
}
