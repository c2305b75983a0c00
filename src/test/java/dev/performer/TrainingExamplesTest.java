package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.ExampleSource;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceSource;
import dev.performer.data.Vocabulary;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dropout;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.BatchSource;
import dev.performer.training.Feed;
import dev.performer.training.LoopOptions;
import dev.performer.training.Objective;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Trainable;
import dev.performer.training.Trainer;
import dev.performer.training.Validation;
import dev.performer.training.optim.Averages;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;

/** The code of docs/training.md that trains a graph of one's own, compiled and run. */
class TrainingExamplesTest {
  private static final Path SELF = Path.of("src/test/java/dev/performer/TrainingExamplesTest.java");

  @TempDir Path folder;

  private static BatchSource source(boolean trains) {
    String file = trains ? "family_train" : "family_test";
    var batches =
        ExampleBatches.of(
            SequenceSource.fasta(Path.of("training/data/" + file + ".fasta.gz")),
            new LetterTokenizer(ProteinVocabulary.google()),
            trains ? Batching.training(32, 512) : Batching.training(32, 512).forEvaluation(),
            1);
    var objective = new Objective.CausalLanguageModel(true);
    return trains
        ? TokenBatchSource.training(batches, objective, 1)
        : TokenBatchSource.evaluation(batches, objective);
  }

  private static PerformerConfig config(int layers) {
    var keys = JsonNodeFactory.instance.objectNode();
    keys.put("preset", "protein-lm").put("layers", layers).put("hiddenSize", 16).put("heads", 2);
    return PerformerConfig.of(keys.put("mlpSize", 16), "example");
  }

  private static Trainable model(Graph graph, PerformerConfig config) {
    // docs: graph
    Ops tf = Ops.create(graph);
    Variables variables = new Variables(tf);
    var anyBatch = Placeholder.shape(Shape.of(-1, -1)); // [B, L]
    Operand<TInt32> tokens = tf.placeholder(TInt32.class, anyBatch);
    Operand<TInt32> targets = tf.placeholder(TInt32.class, anyBatch);
    Operand<TFloat32> weights = tf.placeholder(TFloat32.class, anyBatch);
    Performer performer = Performer.build(tf, variables, config, 1);
    var logits = performer.apply(tf, Inputs.of(tokens), Dropout.none()).logits(); // [B, L, V]

    // Any loss will do: here cross-entropy to the power of 1.5, so that rare tokens count more.
    int size = config.vocabularySize(); // V
    var flat = tf.constant(new int[] {-1});
    var rows = tf.reshape(logits, tf.constant(new int[] {-1, size})); // [B*L, V]
    var right = tf.reshape(targets, flat);
    var labels = tf.oneHot(right, tf.constant(size), tf.constant(1f), tf.constant(0f));
    var entropy = tf.nn.softmaxCrossEntropyWithLogits(rows, labels).loss(); // [B*L]
    var weight = tf.reshape(weights, flat);
    var hits = tf.math.equal(tf.math.argMax(rows, tf.constant(1), TInt32.class), right);
    var powers = tf.math.mul(tf.math.pow(entropy, tf.constant(1.5f)), weight);
    var count = tf.reduceSum(weight, tf.constant(0));
    var loss = tf.math.div(tf.reduceSum(powers, tf.constant(0)), count);

    List<Operand<TFloat32>> sums =
        List.of(
            tf.reduceSum(tf.math.mul(entropy, weight), tf.constant(0)),
            tf.reduceSum(tf.math.mul(tf.dtypes.cast(hits, TFloat32.class), weight), tf.constant(0)),
            count);
    Trainable model =
        Trainable.builder(graph, variables)
            .loss(loss.asOutput())
            .sums(tf.dtypes.cast(tf.stack(sums), TFloat64.class).asOutput())
            .feed(
                batch ->
                    new Feed()
                        .put(tokens, Tensors.of(batch.inputs(), batch.rows(), batch.length()))
                        .put(targets, Tensors.of(batch.targets(), batch.rows(), batch.length()))
                        .put(weights, Tensors.of(batch.weights(), batch.rows(), batch.length())))
            .activation("logits", logits.asOutput())
            .build();
    // docs: end
    return model;
  }

  private static Trainer open(
      Graph graph, boolean resume, Path run, PerformerConfig config, String... settings) {
    Trainable model = model(graph, config);
    Validation validation = Validation.of(model, source(false), 2);
    LoopOptions options = LoopOptions.of(settings);
    return resume
        ? Trainer.resume(model, source(true), validation, options, run, Progress.silent())
        : Trainer.start(model, source(true), validation, options, run, Progress.silent());
  }

  @Test
  void ownGraphAndLoss() {
    Path run = folder.resolve("run");
    PerformerConfig config = config(1);
    BatchSource train = source(true);
    BatchSource valid = source(false);
    // docs: trainer
    try (Graph graph = new Graph()) {
      Trainable model = model(graph, config);
      LoopOptions options =
          LoopOptions.of(
              "steps=20", "optimizer={name: lion}", "learningRate=3e-3", "warmupSteps=5");
      Validation validation = Validation.of(model, valid);
      try (Trainer trainer =
          Trainer.start(model, train, validation, options, run, Progress.on(System.err))) {
        TrainingResult result = trainer.run();
        trainer.restoreBest();
        System.out.println(result.before().perplexity() + " -> " + result.best().perplexity());
        // docs: end
        assertThat(result.finished()).isTrue();
        assertThat(result.best().loss()).isLessThan(result.before().loss() - 0.1);
        assertThat(PerformerModels.values(trainer.session(), model.variables())).isNotEmpty();
      }
    }
    assertThat(run.resolve("report.md")).isNotEmptyFile();
  }

  @Test
  void ownSequences() {
    Path run = folder.resolve("own");
    PerformerConfig config = config(1);
    Vocabulary vocabulary = ProteinVocabulary.google();
    List<int[]> sequences = new ArrayList<>();
    for (int i = 0; i < 64; i++) {
      sequences.add(new int[] {4 + i % 3, 8, 9, 4, 8, 9, 4 + i % 5, 8});
    }
    // docs: sequences
    var objective = new Objective.CausalLanguageModel(true);
    var batches =
        new ExampleBatches(
            ExampleSource.ofTokens("my sequences", sequences),
            vocabulary,
            Batching.training(8, 64),
            1);
    try (Graph graph = new Graph()) {
      Trainable model = Trainable.of(graph, config, 1);
      BatchSource train = TokenBatchSource.training(batches, objective, 1);
      Validation validation = Validation.of(model, TokenBatchSource.evaluation(batches, objective));
      LoopOptions options = LoopOptions.of("steps=30", "learningRate=1e-2", "warmupSteps=5");
      try (Trainer trainer =
          Trainer.start(model, train, validation, options, run, Progress.on(System.err))) {
        TrainingResult result = trainer.run();
        trainer.restoreBest();
        Map<String, NpyArray> weights = model.weights(trainer.session());
        System.out.println(result.best().perplexity() + " with " + weights.size() + " weights");
        // docs: end
        assertThat(result.best().perplexity()).isLessThan(0.5 * result.before().perplexity());
        assertThat(weights.keySet()).isEqualTo(Performer.shapes(config).keySet());
      }
    }
  }

  @Test
  void resumesToTheBitAndRefusesWhatIsNotTheSame() {
    String[] six = {"steps=6", "evaluateEvery=2", "logEvery=2", "averageDecay=0"};
    String[] three = {"steps=3", "evaluateEvery=2", "logEvery=2", "averageDecay=0"};
    Path broken = folder.resolve("broken");
    try (Graph graph = new Graph();
        Trainer trainer = open(graph, false, broken, config(1), three)) {
      assertThat(trainer.run().steps()).isEqualTo(3);
      assertThatThrownBy(() -> open(graph, true, broken, config(1), six))
          .hasMessageContaining("another process trains there");
    }
    TrainingResult whole = result(false, folder.resolve("whole"), six);
    TrainingResult resumed = result(true, broken, six);
    assertThat(resumed.after().loss()).isEqualTo(whole.after().loss());
    assertThat(resumed.steps()).isEqualTo(6);
    assertRefused(broken, config(1), "training.seed was 1 and is now 2", "steps=6", "seed=2");
    assertRefused(broken, config(2), "variables.layer_1/", six);
    try (Graph graph = new Graph()) {
      assertThatThrownBy(() -> open(graph, false, broken, config(1), six))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("holds a run already");
    }
    assertThatThrownBy(() -> LoopOptions.of("step=6"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("unknown key step; did you mean steps?");
  }

  @Test
  void namesTheOpWhereItDiverges() {
    String[] wild = {
      "steps=9",
      "optimizer={name: sgd}",
      "learningRate=1e30",
      "warmupSteps=0",
      "clipNorm=0",
      "divergence=0"
    };
    for (boolean debugs : new boolean[] {false, true}) {
      try (Graph graph = new Graph();
          Trainer trainer = open(graph, false, folder.resolve("wild" + debugs), config(1), wild)) {
        assertThatThrownBy(() -> (debugs ? trainer.debugNumerics() : trainer).run())
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining("first not finite: the ")
            .satisfies(e -> assertThat(e.getMessage().contains(", op ")).isEqualTo(debugs));
      }
    }
  }

  /** x goes to 3; what is evaluated is its average. */
  @Test
  void averagesWithoutRightAndWrong() {
    Path run = folder.resolve("averages");
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Variable x = variables.create("x", Shape.scalar(), true, tf.constant(1f));
      Trainable.Builder builder = Trainable.builder(graph, variables);
      Averages averages = Averages.create(variables, variables.trainable(), 0.9);
      var loss = tf.math.squaredDifference(x.<TFloat32>read(tf), tf.constant(3f));
      var averaged = tf.math.squaredDifference(averages.of(x).<TFloat32>read(tf), tf.constant(3f));
      Trainable model =
          builder
              .loss(loss.asOutput())
              .sums(sums(tf, loss))
              .averages(averages)
              .evaluation(sums(tf, averaged))
              .feed(batch -> new Feed())
              .build();
      String[] settings = {
        "steps=2", "optimizer={name: sgd, momentum: 0}", "learningRate=0.25", "warmupSteps=0",
        "schedule=constant", "averageDecay=0.9", "clipNorm=0", "logEvery=1"
      };
      Validation validation = Validation.of(model, source(false), 1);
      for (String option : List.of("zLoss=0.1", "labelSmoothing=0.1", "precision=bfloat16")) {
        assertThatThrownBy(
                () ->
                    Trainer.start(
                        model,
                        source(true),
                        validation,
                        LoopOptions.of(option),
                        run,
                        Progress.silent()))
            .hasMessageContaining(option.replaceAll("=.*", ""))
            .hasMessageContaining("build it into the graph");
      }
      try (Trainer trainer =
          Trainer.start(
              model, source(true), validation, LoopOptions.of(settings), run, Progress.silent())) {
        TrainingResult result = trainer.run();
        // x: 1, 2, 2.5; shares of the average's step are 1 − 2/11 and 1 − 3/12.
        double first = 1 + (1 - 2.0 / 11) * (2 - 1);
        double second = first + (1 - 3.0 / 12) * (2.5 - first);
        assertThat(result.before().loss()).isEqualTo(4);
        assertThat(result.after().loss()).isCloseTo(Math.pow(3 - second, 2), within(1e-6));
        assertThat(result.after().measures()).containsOnlyKeys("loss");
      }
    }
  }

  private static Output<TFloat64> sums(Ops tf, Operand<TFloat32> loss) {
    Operand<TFloat64> wide = tf.dtypes.cast(loss, TFloat64.class);
    return tf.stack(List.of(wide, tf.constant(Double.NaN), tf.constant(1.0))).asOutput();
  }

  private TrainingResult result(boolean resume, Path run, String... settings) {
    try (Graph graph = new Graph();
        Trainer trainer = open(graph, resume, run, config(1), settings)) {
      return trainer.run();
    }
  }

  private static void assertRefused(
      Path run, PerformerConfig config, String message, String... settings) {
    try (Graph graph = new Graph()) {
      assertThatThrownBy(() -> open(graph, true, run, config, settings))
          .isInstanceOf(PerformerException.class)
          .hasMessageStartingWith("cannot resume " + run)
          .hasMessageContaining(message)
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void theDocumentShowsThisCode() throws IOException {
    String shown = normalised(Files.readString(Path.of("docs/training.md")));
    Matcher marked =
        Pattern.compile("// docs: (?!end)[a-z-]+\n(.*?)// docs: end", Pattern.DOTALL)
            .matcher(Files.readString(SELF));
    int count = 0;
    while (marked.find()) {
      assertThat(shown).contains(normalised(marked.group(1)));
      count++;
    }
    assertThat(count).isEqualTo(3);
  }

  private static String normalised(String code) {
    return code.replaceAll("\\s+", " ").strip();
  }
}
