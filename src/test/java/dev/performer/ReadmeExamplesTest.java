package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceSource;
import dev.performer.data.Vocabulary;
import dev.performer.graph.Tensors;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.FineTuner;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LanguageModel;
import dev.performer.training.TrainingData;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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

/** The README's code, compiled and run; the text is compared with the file. */
class ReadmeExamplesTest {
  @TempDir Path folder;

  @Test
  void attentionInYourOwnGraph() {
    float[] values = new float[2 * 100 * 8 * 64];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) Math.sin(i);
    }
    // README: attention
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
        // README: end
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
  void importFineTuneExport() {
    Path run = folder.resolve("run");
    Path tuned = folder.resolve("tuned");
    // README: fine-tune
    Path python = Path.of("savedmodels/protein-mlm/saved_model");
    Vocabulary vocabulary = ProteinVocabulary.google();
    var data =
        new TrainingData(
            vocabulary,
            SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz")),
            SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz")));
    var options = FineTuneOptions.DEFAULT.withLoop(FineTuneOptions.LOOP.with("steps=3"));
    try (ImportedModel model = ImportedModel.load(python)) {
      LanguageModel language = ImportedLanguageModel.of(model, "serving_default");
      try (FineTuner tuner =
          FineTuner.start(language, data, options, run, Progress.on(System.err))) {
        TrainingResult result = tuner.run();
        tuner.restoreBest();
        WeightReplacement.of(python).export(tuner.session(), model.variables(), tuned);
        System.out.println(result.before().perplexity() + " -> " + result.best().perplexity());
        // README: end
        assertThat(result.steps()).isEqualTo(3);
      }
    }
    assertThat(tuned.resolve("saved_model.pb")).exists();
  }

  @Test
  void theReadmeShowsThisCode() throws IOException {
    List<String> shown = new ArrayList<>();
    Matcher blocks =
        Pattern.compile("```java\n(.*?)```", Pattern.DOTALL)
            .matcher(Files.readString(Path.of("README.md")));
    while (blocks.find()) {
      shown.add(normalised(blocks.group(1)));
    }
    Path self = Path.of("src/test/java/dev/performer/ReadmeExamplesTest.java");
    Matcher marked =
        Pattern.compile("// README: (?!end)[a-z-]+\n(.*?)// README: end", Pattern.DOTALL)
            .matcher(Files.readString(self));
    List<String> run = new ArrayList<>();
    while (marked.find()) {
      run.add(normalised(marked.group(1)));
    }
    assertThat(run).hasSize(2);
    assertThat(shown).hasSize(2);
    for (int i = 0; i < 2; i++) {
      assertThat(shown.get(i)).startsWith(run.get(i));
    }
  }

  /** Without the closing braces that the README adds, and without layout. */
  private static String normalised(String code) {
    return code.replaceAll("\\s+", " ").strip();
  }
}
