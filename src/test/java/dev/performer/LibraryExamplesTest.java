package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.NpyArray;
import dev.performer.data.SequenceSource;
import dev.performer.data.Tokenizer;
import dev.performer.graph.Tensors;
import dev.performer.model.PerformerConfig;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.EngineOptions;
import dev.performer.pipeline.FineTuneJob;
import dev.performer.pipeline.FineTuneTask;
import dev.performer.pipeline.GenerationOptions;
import dev.performer.pipeline.Importer;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Predictor;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.pipeline.SequenceTraining;
import dev.performer.pipeline.Sessions;
import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextGenerator;
import dev.performer.pipeline.TextRequest;
import dev.performer.pipeline.TrainJob;
import dev.performer.savedmodel.TaskCard;
import dev.performer.serving.Sampling;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.LoopOptions;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/** The code of docs/library.md and of the README, compiled and run; the texts are compared. */
class LibraryExamplesTest {
  @TempDir static Path folder;
  private static Path lm;

  @BeforeAll
  static void importCheckpoint() {
    lm = folder.resolve("lm");
    // docs: import
    Importer.Outcome imported =
        Importer.of(Path.of("savedmodels/checkpoints/lm_relu")).write(lm, false);
    imported.notes().forEach(System.out::println); // what the checkpoint leaves open
    try (Predictor predictor = Predictor.load(lm)) {
      NpyArray logits = predictor.predict(List.of("MKTAYIAKQR")).get("logits"); // [B, L, V]
      System.out.println(imported.scheme() + " " + logits);
      // docs: end
      assertThat(logits.shape()).startsWith(1, 11); // the end token counts
    }
  }

  @Test
  void trainOnOwnSequences() {
    Path run = folder.resolve("run");
    SplittableRandom random = new SplittableRandom(1);
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      texts.add("MKT".repeat(5 + random.nextInt(5)));
    }
    // docs: train
    Tokenizer letters = Tokenizer.named("google-protein");
    PerformerConfig config =
        PerformerConfig.preset("performer")
            .with("task=causal-lm", "vocabularySize=" + letters.size(), "maxLength=64")
            .with("layers=2", "hiddenSize=32", "heads=2")
            .with("attention={kernel: relu, features: 16, causal: true}");
    SequenceTraining training =
        SequenceTraining.of(config, letters, SequenceSource.texts("my sequences", texts))
            .withBatching(SequenceBatching.DEFAULT.withLength(64))
            .withLoop(LoopOptions.of("steps=20", "evaluateEvery=10", "learningRate=3e-3"));
    TrainJob job = TrainJob.of(training, run);
    Progress listener =
        new Progress() {
          @Override
          public void evaluation(long step, Evaluation evaluation) {
            System.out.println("step " + step + ": perplexity " + evaluation.perplexity());
            if (evaluation.perplexity() < 1.01) {
              job.stop(); // good enough; a checkpoint is kept
            }
          }
        };
    Path model = job.run(listener).model().orElseThrow();
    // docs: end
    try (TextGenerator generator = TextGenerator.load(model)) {
      var options = GenerationOptions.DEFAULT.withMaxTokens(5).withSampler(Sampling.mostLikely());
      assertThat(generator.generate("MKTMK", options).tokens()).isNotEmpty();
    }
    assertThat(Model.open(run).path()).isEqualTo(model);
  }

  @Test
  void fineTuneASavedModel() {
    Path run = folder.resolve("tuned");
    // docs: fine-tune
    Model python = Model.open(Path.of("savedmodels/protein-mlm/saved_model"));
    SequenceSource family = SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz"));
    FineTuneJob job =
        FineTuneJob.of(python, family, run)
            .validation(SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz")))
            .options(FineTuneOptions.LOOP.with("steps=3"));
    FineTuneJob.Outcome outcome = job.run(Progress.on(System.err));
    System.out.println(outcome.result().before().describe());
    System.out.println(outcome.result().best().describe() + ": " + outcome.model().orElseThrow());
    // docs: end
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    assertThat(outcome.result().steps()).isEqualTo(3);
  }

  @Test
  void fineTuneOnLabels() throws IOException {
    Path run = folder.resolve("labels");
    Path table = folder.resolve("acidity.csv");
    Files.writeString(table, "sequence,label\n" + "MKRKHK,basic\nMDEEDL,acidic\n".repeat(20));
    // docs: labels
    Model encoder = Model.open(Path.of("savedmodels/protein-mlm/saved_model"));
    FineTuneTask task =
        FineTuneTask.of(TaskCard.Kind.CLASSIFICATION).withColumns("sequence", "label");
    FineTuneJob learning =
        FineTuneJob.of(encoder, task, table, run)
            .batching(SequenceBatching.LABELLED.withLength(64))
            .options(FineTuneOptions.TASK_LOOP.with("steps=3"));
    Path classifier = learning.run(Progress.on(System.err)).model().orElseThrow();
    try (Predictor predictor = Predictor.load(classifier)) {
      System.out.println(predictor.names(predictor.predict(List.of("MKTAYIAKQR")))); // [basic], say
      // docs: end
      assertThat(predictor.names(predictor.predict(List.of("MK", "MD")))).hasSize(2);
    }
  }

  @Test
  void streamAText() {
    // docs: generate
    try (TextGenerator generator = TextGenerator.load(lm)) {
      GenerationOptions options =
          GenerationOptions.DEFAULT
              .withMaxTokens(30)
              .withSampler(Sampling.DEFAULT.withTemperature(0.8).withTopK(10).withSeed(7));
      TextGenerator.Generation text = generator.stream("MKT", options, System.out::print);
      System.out.println(text.ended() ? "" : " …");
      // docs: end
      assertThat(text.text()).matches("MKT[A-Z]{1,30}");
    }
  }

  @Test
  void continueManyTexts() throws Exception {
    // docs: engine
    try (Predictor loaded = Predictor.load(lm);
        TextEngine engine = TextEngine.of(loaded, EngineOptions.DEFAULT.withMaxBatch(16))) {
      CompletableFuture<String> text = new CompletableFuture<>();
      TextEngine.Listener listener =
          new TextEngine.Listener() {
            @Override
            public void done(TextEngine.Finished finished) {
              text.complete(finished.text());
            }

            @Override
            public void failed(PerformerException why) {
              text.completeExceptionally(why);
            }
          };
      Sessions.Session session = engine.sessions().open(TextRequest.of("MKTAYIAKQR"));
      Sessions.Session fork = engine.sessions().fork(session.id());
      TextRequest request = TextRequest.of("QIS").withMaxTokens(8).withStops(List.of("GG"));
      TextEngine.Ticket ticket = engine.submit(request.withSession(fork.id()), listener);
      System.out.println(text.get()); // ticket.cancel() would end it between two steps
      ByteArrayOutputStream saved = new ByteArrayOutputStream(); // or a Path
      engine.sessions().save(fork.id(), saved);
      // docs: end
      assertThat(engine.sessions().get(session.id()).tokens()).isEqualTo(10);
      assertThat(engine.sessions().load(new ByteArrayInputStream(saved.toByteArray())).tokens())
          .isEqualTo(engine.sessions().get(fork.id()).tokens())
          .isBetween(13, 21);
    }
  }

  @Test
  void scoreAndEmbed() {
    // docs: score
    List<String> proteins = List.of("MKTAYIAKQRQISFVK", "MKVLAAGIVGLCAKLV");
    try (Scorer scorer = Scorer.load(lm);
        Embedder embedder = Embedder.load(lm)) {
      List<Scorer.Score> scores = scorer.score(proteins);
      List<float[]> vectors = embedder.embed(proteins); // [E] each
      for (int i = 0; i < proteins.size(); i++) {
        System.out.println(proteins.get(i) + " " + scores.get(i).perplexity());
      }
      // docs: end
      assertThat(scores).allMatch(score -> score.counted() == 17 && score.sum() < 0);
      assertThat(vectors).hasSize(2).allMatch(vector -> vector.length == 32);
    }
  }

  @Test
  void attentionInYourOwnGraph() {
    float[] values = new float[2 * 100 * 8 * 64];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) Math.sin(i);
    }
    // docs: attention
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var anyBatchAndLength = Placeholder.shape(Shape.of(-1, -1, 8, 64)); // [B, L, H, D]
      var q = tf.placeholder(TFloat32.class, anyBatchAndLength);
      var config = FavorConfig.of(Kernel.SOFTMAX).withCausal(true).withFeatures(256);
      var projection = config.projection(64);
      var matrix = tf.constant(Shape.of(projection.rows(), 64), DataBuffers.of(projection.draw(1)));
      Operand<TFloat32> out =
          FavorAttention.of(config, matrix).attendPositionsFirst(tf, q, q, q, null);
      Output<?>[] dq = graph.addGradients(out.asOutput(), new Output<?>[] {q.asOutput()});
      try (TFloat32 x = Tensors.of(values, 2, 100, 8, 64);
          Result result = session.runner().feed(q, x).fetch(out).fetch(dq[0]).run()) {
        System.out.println(result.get(0).shape() + " " + result.get(1).shape());
        // docs: end
        assertThat(result.get(0).shape()).isEqualTo(Shape.of(2, 100, 8, 64));
        for (float y : Tensors.floats(result.get(0))) {
          assertThat(Math.abs(y)).isLessThan(1.0001f); // a mean of values in [-1, 1]
        }
        for (float y : Tensors.floats(result.get(1))) {
          assertThat(y).isFinite();
        }
      }
    }
  }

  @Test
  void theTextsShowThisCode() throws IOException {
    Path self = Path.of("src/test/java/dev/performer/LibraryExamplesTest.java");
    Matcher marked =
        Pattern.compile("// docs: (?!end)[a-z-]+\n(.*?)// docs: end", Pattern.DOTALL)
            .matcher(Files.readString(self));
    List<String> run = new ArrayList<>();
    while (marked.find()) {
      run.add(normalised(marked.group(1)));
    }
    assertThat(run).hasSize(8);
    List<String> library = shown(Path.of("docs/library.md"));
    assertThat(library).hasSize(run.size());
    for (int i = 0; i < run.size(); i++) {
      assertThat(library.get(i)).startsWith(run.get(i));
    }
    List<String> readme = shown(Path.of("README.md"));
    assertThat(readme)
        .hasSize(2)
        .allSatisfy(code -> assertThat(run).anyMatch(example -> code.startsWith(example)));
  }

  private static List<String> shown(Path file) throws IOException {
    List<String> shown = new ArrayList<>();
    Matcher blocks =
        Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(file));
    while (blocks.find()) {
      shown.add(normalised(blocks.group(1)));
    }
    return shown;
  }

  /** Without the closing braces that a text adds, and without layout. */
  private static String normalised(String code) {
    return code.replaceAll("\\s+", " ").strip();
  }
}
