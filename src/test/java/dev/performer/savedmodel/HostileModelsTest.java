package dev.performer.savedmodel;

import static dev.performer.savedmodel.MadeGraph.call;
import static dev.performer.savedmodel.MadeGraph.constant;
import static dev.performer.savedmodel.MadeGraph.floats;
import static dev.performer.savedmodel.MadeGraph.function;
import static dev.performer.savedmodel.MadeGraph.loop;
import static dev.performer.savedmodel.MadeGraph.node;
import static dev.performer.savedmodel.MadeGraph.repeated;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.google.protobuf.ByteString;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.TensorProto;

/**
 * Small files that ask TensorFlow for all memory, all time or the end of the process: the process
 * lives and one line names what is wrong.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HostileModelsTest {
  private static final Map<String, NpyArray> X = Map.of("x", NpyArray.of(new float[] {1, 2, 3}, 3));
  private static final FunctionDef ALWAYS =
      function(
          "always",
          DataType.DT_BOOL,
          "t:output:0",
          constant("t", TensorProto.newBuilder().setDtype(DataType.DT_BOOL).addBoolVal(true)));
  private static final FunctionDef NEGATE =
      function("negate", DataType.DT_FLOAT, "z:y:0", floats("z", "Neg", "a"));

  @TempDir Path folder;

  @Test
  void aConstantOfMoreElementsThanCanBeCounted() {
    refused(
        new MadeGraph()
            .add(constant("c", repeated(1, 1L << 40, 1L << 40)))
            .add(floats("y", "AddV2", "x", "c")),
        "the node c of the main graph has a shape of more elements than can be counted");
  }

  @Test
  void aShapeOfMoreElementsThanCanBeCountedInAFunction() {
    refused(
        new MadeGraph()
            .add(
                function(
                    "f",
                    DataType.DT_FLOAT,
                    "z:z:0",
                    constant("c", repeated(1, 1L << 40, 1L << 40)),
                    floats("z", "AddV2", "a", "c:output:0")))
            .add(call("y", "f", "x")),
        "the node c of the function f");
  }

  @Test
  void aConstantThatClaims5GB() {
    refused(
        new MadeGraph()
            .add(constant("c", repeated(1, 1_250_000_000)))
            .add(floats("y", "AddV2", "x", "c")),
        "the constants of the graph claim 5000000000 bytes",
        "-Dperformer.graph.constantBytes");
  }

  @Test
  void aConstantThatIsMultipliedByCalls() {
    MadeGraph graph =
        new MadeGraph()
            .add(
                function(
                    "f0",
                    DataType.DT_FLOAT,
                    "z:z:0",
                    constant("c", repeated(1, 1_000_000)),
                    floats("z", "AddV2", "a", "c:output:0")));
    refused(doubling(graph, 10), "the constants of the graph claim 4096000000 bytes");
  }

  @Test
  void aConstantWithFewerBytesThanItsShape() {
    TensorProto.Builder value =
        repeated(1, 10).clearFloatVal().setTensorContent(ByteString.copyFrom(new byte[12]));
    refused(
        new MadeGraph().add(constant("c", value)).add(floats("y", "AddV2", "x", "c")),
        "the node c of the main graph: a constant holds 12 bytes, its shape needs 40");
  }

  @Test
  void functionsThatAreNestedDeeply() {
    MadeGraph graph = new MadeGraph().add(NEGATE);
    for (int i = 0; i < 3000; i++) {
      String callee = i == 0 ? "negate" : "f" + (i - 1);
      graph.add(function("f" + i, DataType.DT_FLOAT, "z:output:0", call("z", callee, "a")));
    }
    refused(
        graph.add(call("y", "f2999", "x")),
        "call each other more than 100 levels deep",
        "-Dperformer.graph.depth");
  }

  @Test
  void functionsThatDoubleAtEachInlining() {
    MadeGraph graph =
        new MadeGraph().add(function("f0", DataType.DT_FLOAT, "z:y:0", floats("z", "Neg", "a")));
    refused(
        doubling(graph, 30),
        "more than 62000 nodes once its functions are expanded",
        "-Dperformer.graph.nodes");
  }

  private static MadeGraph doubling(MadeGraph graph, int times) {
    for (int i = 1; i <= times; i++) {
      String callee = "f" + (i - 1);
      graph.add(
          function(
              "f" + i,
              DataType.DT_FLOAT,
              "z:output:0",
              call("u", callee, "a"),
              call("z", callee, "u:output:0")));
    }
    return graph.add(call("y", "f" + times, "x"));
  }

  /** TensorFlow's rewrites of such a graph took more than a minute. */
  @Test
  void aChainOf60000NodesRuns() {
    MadeGraph graph = new MadeGraph();
    for (int i = 0; i < 60_000; i++) {
      graph.add(floats(i == 59_999 ? "y" : "n" + i, "Neg", i == 0 ? "x" : "n" + (i - 1)));
    }
    Path model = graph.write(folder);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      assertThat(predictor.predict("serving_default", X).get("y").floats())
          .containsExactly(1, 2, 3);
    }
    assertThat(Inspection.of(model).ops()).containsEntry("Neg", 60_000);
  }

  @Test
  void aChainWithoutGradientsIsInspectedInOnePass() {
    MadeGraph graph = new MadeGraph();
    for (int i = 0; i < 30_000; i++) {
      graph.add(floats(i == 29_999 ? "y" : "n" + i, "Lgamma", i == 0 ? "x" : "n" + (i - 1)));
      graph.add(floats("i" + i, "Igamma", "x", i == 0 ? "x" : "i" + (i - 1)));
    }
    assertThat(Inspection.of(graph.output("i29999:0").write(folder)).trainable()).isFalse();
  }

  @Test
  void callsThatReturnTheirArgumentsAreResolvedInOnePass() {
    MadeGraph graph = new MadeGraph().add(function("same", DataType.DT_FLOAT, "a"));
    for (int i = 0; i < 30_000; i++) {
      graph.add(call("n" + i, "same", i == 0 ? "x" : "n" + (i - 1)));
    }
    Path model = graph.add(floats("y", "Neg", "n29999")).write(folder);
    assertThat(Inspection.of(model).ops()).containsEntry("Neg", 1);
  }

  @ParameterizedTest
  @CsvSource({
    "y:99, 'is y:99, but that node has 1 outputs'",
    "y:-1, the reference y:-1 names no output of a node",
    "y:abc, the reference y:abc names no output of a node",
    "nowhere:0, 'the graph has no node nowhere, which the output y of the signature'",
    "'', is sparse or composite"
  })
  void aSignatureThatNamesNoTensor(String tensor, String message) {
    Path model = new MadeGraph().add(floats("y", "Neg", "x")).output(tensor).write(folder);
    refused(() -> ImportedModel.load(model).close(), message);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      refused(() -> predictor.predict("serving_default", X), message);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"x", "c"})
  void anEndlessLoopIsStopped(String start) {
    MadeGraph graph = new MadeGraph().add(ALWAYS).add(NEGATE).add(constant("c", repeated(1, 3)));
    for (String op : new String[] {"While", "StatelessWhile"}) {
      graph.add(loop(op, op, start, "always", "negate"));
      Path model = graph.output(op + ":0").write(folder.resolve(op));
      try (SavedModelPredictor predictor =
          SavedModelPredictor.load(SavedModelDirectory.open(model), Duration.ofSeconds(2))) {
        refused(
            () -> predictor.predict("serving_default", X),
            "the signature serving_default of ",
            " did not finish within 2.0 s");
      }
    }
  }

  @Test
  void nodesThatLackAttributesOrInputs() {
    refused(
        new MadeGraph().add(node("c", "Const").build()).add(floats("y", "AddV2", "x", "c")),
        "the op Const (node c of the main graph): it lacks the attribute ");
    refused(
        new MadeGraph().add(floats("y", "AddV2", "x")),
        "the op AddV2 (node y of the main graph): it has 1 inputs, its op takes 2");
    refused(
        new MadeGraph()
            .add(function("f", DataType.DT_FLOAT, "z:z:0", floats("z", "AddV2", "a")))
            .add(call("y", "f", "x")),
        () -> ImportedModel.load(folder).close(),
        "it has 1 inputs, its op takes 2");
  }

  /** TensorFlow followed such a reference and ended the process. */
  @ParameterizedTest
  @CsvSource({"nowhere:y:0", "z:nothing:0", "z:y:7", "^nowhere", "a:b:c:d"})
  void aFunctionThatRefersToNothing(String reference) {
    refused(
        new MadeGraph()
            .add(
                function(
                    "f",
                    DataType.DT_FLOAT,
                    "z:y:0",
                    floats("z", "Neg", "a"),
                    floats("u", "Neg", "a").toBuilder().addInput(reference).build()))
            .add(call("y", "f", "x")),
        "the function f refers to " + reference + ", which it lacks");
  }

  @ParameterizedTest
  @ValueSource(strings = {"fingerprint.pb", "assets.extra/performer.json", "assets/words.txt"})
  void aPipeIsNotWaitedFor(String file) throws Exception {
    Path model = new MadeGraph().add(floats("y", "Neg", "x")).write(folder.resolve("model"));
    Path pipe = model.resolve(file);
    Files.createDirectories(pipe.getParent());
    assumeThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    refused(() -> SavedModelPredictor.load(model).close(), file, "it is a pipe or a device");
    if (file.endsWith("json")) {
      refused(() -> ModelCard.read(model), file, "it is a pipe or a device");
    }
  }

  private void refused(MadeGraph graph, String... parts) {
    refused(graph, () -> SavedModelPredictor.load(folder).close(), parts);
    refused(() -> ImportedModel.load(folder).close(), parts);
  }

  private void refused(MadeGraph graph, Runnable action, String... parts) {
    graph.write(folder);
    refused(action, parts);
  }

  private void refused(Runnable action, String... parts) {
    assertThatThrownBy(action::run)
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContainingAll(parts)
        .satisfies(
            e -> {
              assertThat(e.getMessage().lines()).hasSize(1);
              assertThat(e.getMessage()).hasSizeLessThan(1000);
            });
  }
}
