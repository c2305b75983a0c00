package dev.performer.graph;

import static dev.performer.PerformerException.require;

import dev.performer.graph.TracedFunction.ArgumentSpec;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDefLibrary;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Cuts the part of a graph that computes some outputs from some inputs, so that it can become a
 * function: gradients, optimizer and whatever else the graph holds stay behind.
 */
public final class GraphCut implements TracedFunction.Body {
  // Names made in the function's own graph know nothing of imported ones and could meet them.
  private static final String SCOPE = "cut";
  private static final String KEEP =
      "a lookup table that cannot be cut out; keep the original model and replace its weights";

  private final Map<String, Output<?>> inputs = new LinkedHashMap<>();
  private final Map<String, Output<?>> outputs = new LinkedHashMap<>();
  private final Map<String, Variable> variables = new HashMap<>();
  private final GraphDef whole;
  private final List<NodeDef> nodes;
  private boolean keepsControlFlow;

  /**
   * @param inputs where the cut begins, by the name they shall have; likewise the outputs
   * @param variables those that are needed become resource arguments
   */
  public GraphCut(
      Graph graph,
      Map<String, ? extends Operand<?>> inputs,
      Map<String, ? extends Operand<?>> outputs,
      List<Variable> variables) {
    inputs.forEach((name, input) -> this.inputs.put(name, input.asOutput()));
    outputs.forEach((name, output) -> this.outputs.put(name, output.asOutput()));
    variables.forEach(v -> this.variables.put(v.handle().op().name(), v));
    whole = LowRankFactors.merged(graph.toGraphDef(), this.variables.keySet());
    Set<String> given = nodes(this.inputs);
    Set<String> ends = new HashSet<>(given);
    ends.addAll(this.variables.keySet());
    GraphIndex index = new GraphIndex(whole.getNodeList());
    Set<String> needed =
        index.reached(
            nodes(this.outputs),
            node -> ends.contains(node.getName()) ? List.of() : boundInputs(node));
    needed.removeAll(given);
    // Without the machine's devices, and without colocation with nodes that stay behind.
    var own =
        needed.stream()
            .map(name -> index.require(name, "an output").toBuilder().clearDevice())
            .map(node -> node.removeAttr("_class").build());
    nodes = CommonNodes.merged(own.toList(), nodes(this.outputs));
  }

  private static Set<String> nodes(Map<String, Output<?>> tensors) {
    Set<String> nodes = new LinkedHashSet<>();
    tensors.values().forEach(tensor -> nodes.add(tensor.op().name()));
    return nodes;
  }

  private static List<String> boundInputs(NodeDef node) {
    String op = node.getOp();
    String trouble =
        switch (op) {
          case "Placeholder" -> "which is not an input";
          case "VarHandleOp", "VariableV2", "Variable" -> "which is not in the list of variables";
          default -> op.contains("HashTable") ? KEEP : "";
        };
    require(trouble.isEmpty(), "the outputs depend on %s %s, %s", op, node.getName(), trouble);
    return node.getInputList();
  }

  /** The same whose loops and branches stay ops, which XLA needs, whatever the graph asks for. */
  GraphCut keepingControlFlow() {
    keepsControlFlow = true;
    return this;
  }

  private static void keep(NodeDef.Builder node) {
    node.removeAttr("_lower_using_switch_merge");
  }

  public FunctionDefLibrary library() {
    FunctionLibrary functions = new FunctionLibrary(whole.getLibrary());
    Set<String> called = functions.reachedFrom(nodes);
    var gradients = whole.getLibrary().getGradientList().stream();
    var known = gradients.filter(g -> called.contains(g.getFunctionName())).toList();
    return functions.usedBy(nodes).toBuilder().addAllGradient(known).build();
  }

  @Override
  public Map<String, Operand<?>> build(TracedFunction.Tracing tracing) {
    GraphDef.Builder cut = GraphDef.newBuilder().setVersions(whole.getVersions());
    cut.setLibrary(library());
    inputs.values().forEach(input -> cut.addNode(placeholder(input)));
    nodes.forEach(cut::addNode);
    if (keepsControlFlow) {
      cut.getNodeBuilderList().forEach(GraphCut::keep);
      for (var function : cut.getLibraryBuilder().getFunctionBuilderList()) {
        function.getNodeDefBuilderList().forEach(GraphCut::keep);
      }
    }
    Graph inner = tracing.graph();
    inner.importGraphDef(cut.build(), SCOPE);
    inputs.forEach(
        (name, in) ->
            tracing.adoptInput(new ArgumentSpec(name, in.type(), in.shape()), copy(inner, in)));
    var needed = nodes.stream().map(node -> variables.get(node.getName())).filter(Objects::nonNull);
    needed.forEach(v -> tracing.adoptCapture(v, copy(inner, v.handle())));
    Map<String, Operand<?>> built = new LinkedHashMap<>();
    outputs.forEach((name, out) -> built.put(name, copy(inner, out)));
    return built;
  }

  private static Output<?> copy(Graph inner, Output<?> original) {
    return inner.outputOrThrow(SCOPE + "/" + original.op().name() + ":" + original.index());
  }

  private static NodeDef.Builder placeholder(Output<?> source) {
    if (source.index() != 0) {
      throw new IllegalArgumentException(source + " is not the first output of its operation");
    }
    var shape = AttrValue.newBuilder().setShape(GraphProtos.shape(source.shape())).build();
    var node = GraphProtos.node(source.op().name(), "Placeholder").putAttr("shape", shape);
    return node.putAttr("dtype", GraphProtos.type(source.dataType()));
  }
}
