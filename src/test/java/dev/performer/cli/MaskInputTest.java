package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import dev.performer.graph.Variables;
import dev.performer.savedmodel.SavedModelExporter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TNumber;
import org.tensorflow.types.family.TType;

/** Models differ in the type of their mask and token inputs; the commands feed what each takes. */
class MaskInputTest {
  private static final int VOCABULARY = 29;
  private static final int WIDTH = 8;

  @TempDir Path folder;

  static Stream<Class<? extends TType>> maskTypes() {
    return Stream.of(TFloat32.class, TBool.class, TInt32.class, TInt64.class);
  }

  @ParameterizedTest
  @MethodSource("maskTypes")
  void fineTunesAndPredicts(Class<? extends TType> maskType) throws IOException {
    Path model = folder.resolve("model");
    export(model, maskType);
    Path fasta = folder.resolve("x.fasta");
    Files.writeString(fasta, (">a\nLALALALA\n>b\nLALA\n").repeat(30));
    Path run = folder.resolve("run");
    JsonNode tuned =
        CommandLineRun.of(
                "fine-tune",
                model,
                "--data",
                fasta,
                "--output",
                run,
                "--steps",
                2,
                "--length",
                16,
                "--batch-tokens",
                256,
                "--evaluate-every",
                0,
                "--json")
            .done()
            .json();
    assertThat(tuned.get("maxOutputDifference").asDouble()).isLessThan(1e-6);
    Path out = folder.resolve("y.npz");
    CommandLineRun.of("predict", run.resolve("model"), "--inputs", fasta, "--output", out).done();
    NpyArray logits = Npz.read(out).get("logits");
    assertThat(logits.shape()).containsExactly(60, 9, VOCABULARY);
    float[] values = logits.floats();
    int padding = (9 + 8) * VOCABULARY; // the second sequence has five tokens with its end
    for (int i = 0; i < VOCABULARY; i++) {
      assertThat(values[padding + i]).isZero(); // the mask reached the model
    }
  }

  /** Logits of a token by itself, and 0 where the mask is. */
  private static void export(Path target, Class<? extends TType> maskType) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      variables.create("table", Shape.of(VOCABULARY, WIDTH), true, normal(tf, VOCABULARY, WIDTH));
      variables.create("head", Shape.of(WIDTH, VOCABULARY), true, normal(tf, WIDTH, VOCABULARY));
      variables.initialize(session);
      SavedModelExporter.builder()
          .variables(variables.all())
          .signature(
              "serving_default",
              List.of(
                  ArgumentSpec.of("input_mask", maskType, -1, -1),
                  ArgumentSpec.of("tokens", TInt32.class, -1, -1)),
              (t, in, read) ->
                  Map.of("logits", logits(t, in, read.apply("table"), read.apply("head"))))
          .export(session, target);
    }
  }

  @SuppressWarnings("unchecked")
  private static Operand<TFloat32> logits(
      Ops tf, Map<String, Operand<?>> in, Operand<?> table, Operand<?> head) {
    Operand<TFloat32> embedded =
        tf.gather(
            (Operand<TFloat32>) table,
            (Operand<TInt32>) in.get("tokens"),
            tf.constant(0)); // [B, L, E]
    Operand<TFloat32> all =
        tf.train.batchMatMul(
            embedded, (Operand<TFloat32>) head, TFloat32.class); // [B, L, vocabulary]
    Operand<TFloat32> mask =
        tf.dtypes.cast((Operand<TNumber>) in.get("input_mask"), TFloat32.class);
    return tf.math.mul(all, tf.expandDims(mask, tf.constant(-1)));
  }

  private static Operand<TFloat32> normal(Ops tf, int rows, int columns) {
    return tf.random.statelessRandomNormal(
        tf.constant(new int[] {rows, columns}), tf.constant(new int[] {1, rows}));
  }
}
