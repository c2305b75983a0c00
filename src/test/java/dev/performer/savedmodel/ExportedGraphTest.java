package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.graph.TensorNames;
import dev.performer.model.FavorConversion;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.ReferenceModel;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.NodeDef;

/** What converters for other runtimes stumble over is in no graph that is written. */
class ExportedGraphTest {
  private static final Set<String> REDUCTIONS = Set.of("Sum", "Mean", "Max", "Min", "Prod");

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"lm_relu", "lm_exact", "lm_softmax_favor", "bert_softmax_favor"})
  void suitsConverters(String name) {
    ReferenceModel model = ReferenceModel.proteinLm(name);
    requireSuited(model.config(), model.weights());
  }

  @ParameterizedTest
  @ValueSource(strings = {"lm_exact", "bert_exact"})
  void soDoWindows(String name) {
    ReferenceModel model = ReferenceModel.proteinLm(name);
    var banded = FavorConversion.defaults().window(8).sinks(List.of(0)).build();
    var converted = new FavorConversion(banded, Set.of()).apply(model.config(), model.weights());
    requireSuited(converted.config(), converted.weights());
  }

  @ParameterizedTest
  @ValueSource(strings = {"constant", "token"})
  void soDoGates(String gate) {
    ReferenceModel model = ReferenceModel.proteinLm("lm_relu");
    var config = model.config().with("attention.gate=" + gate);
    Map<String, NpyArray> weights = new HashMap<>(model.weights());
    Performer.shapes(config)
        .forEach(
            (name, shape) ->
                weights.computeIfAbsent(
                    name, n -> NpyArray.of(new float[(int) shape.size()], shape.asArray())));
    requireSuited(config, weights);
  }

  private void requireSuited(PerformerConfig config, Map<String, NpyArray> weights) {
    PerformerModels.write(config, weights, null, folder.resolve("model"), false);
    SavedModelDirectory directory = SavedModelDirectory.open(folder.resolve("model"));
    var graph = directory.metaGraph().getGraphDef();

    // TensorFlow Lite looks for a variable's value under the name of its node.
    List<NodeDef> handles =
        graph.getNodeList().stream().filter(n -> n.getOp().equals("VarHandleOp")).toList();
    assertThat(handles)
        .allSatisfy(
            n ->
                assertThat(n.getAttrOrThrow("shared_name").getS().toStringUtf8())
                    .isEqualTo(n.getName()))
        .map(NodeDef::getName)
        .containsExactlyInAnyOrderElementsOf(weights.keySet());

    for (FunctionDef function : graph.getLibrary().getFunctionList()) {
      var byName =
          function.getNodeDefList().stream()
              .collect(Collectors.toMap(NodeDef::getName, Function.identity()));
      for (NodeDef node : function.getNodeDefList()) {
        checkReduction(node, byName);
        checkReshape(node, byName);
      }
    }
    FunctionDef step = function(graph.getLibrary().getFunctionList(), "decode_step");
    if (step != null) {
      var inputs = directory.metaGraph().getSignatureDefOrThrow("decode_step").getInputsMap();
      assertThat(step.getSignature().getInputArgList().subList(0, inputs.size()))
          .map(argument -> argument.getName())
          .containsExactlyElementsOf(inputs.keySet().stream().sorted().toList());
    }
  }

  private static FunctionDef function(List<FunctionDef> all, String part) {
    var found = all.stream().filter(f -> f.getSignature().getName().contains(part));
    return found.findFirst().orElse(null);
  }

  /** tf2onnx takes lists of axes. */
  private static void checkReduction(NodeDef node, Map<String, NodeDef> byName) {
    if (REDUCTIONS.contains(node.getOp())) {
      NodeDef axes = byName.get(TensorNames.node(node.getInput(1)));
      assertThat(axes.getAttrOrThrow("value").getTensor().getTensorShape().getDimCount())
          .as("axes of %s", node.getName())
          .isEqualTo(1);
    }
  }

  /** tf2onnx joins two in a row, and reads sizes that the second computes off the first's input. */
  private static void checkReshape(NodeDef node, Map<String, NodeDef> byName) {
    if (node.getOp().equals("Reshape")) {
      NodeDef before = byName.get(TensorNames.node(node.getInput(0)));
      NodeDef sizes = byName.get(TensorNames.node(node.getInput(1)));
      assertThat(
              before != null && before.getOp().equals("Reshape") && !sizes.getOp().equals("Const"))
          .as("%s after %s", node.getName(), before)
          .isFalse();
    }
  }
}
