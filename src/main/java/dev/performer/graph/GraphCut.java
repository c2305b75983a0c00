package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
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

  private static final Pattern TABLE =
      Pattern.compile("\\w*(HashTable|HashTableV2|HashTableOfTensorsV2|DenseHashTableV2)");

  private final Map<String, Output<?>> inputs = new LinkedHashMap<>();
  private final Map<String, Output<?>> outputs = new LinkedHashMap<>();
  private final Map<String, Variable> variablesByNode = new HashMap<>();
  private final GraphDef whole;
  private final GraphIndex index;

  /**
   * @param graph the graph to cut
   * @param inputs where the cut begins, by the name they shall have; in order
   * @param outputs what is computed, by the name they shall have; in order
   * @param variables the graph's variables; those that are needed become resource arguments
   */
  public GraphCut(
      Graph graph,
      Map<String, ? extends Operand<?>> inputs,
      Map<String, ? extends Operand<?>> outputs,
      List<Variable> variables) {
    inputs.forEach((name, input) -> this.inputs.put(name, input.asOutput()));
    outputs.forEach((name, output) -> this.outputs.put(name, output.asOutput()));
    variables.forEach(v -> variablesByNode.put(v.handle().op().name(), v));
    whole = graph.toGraphDef();
    index = new GraphIndex(whole.getNodeList());
  }

  /** The functions that the cut part calls, directly or not. */
  public FunctionDefLibrary library() {
    List<NodeDef> needed = neededNodes().stream().map(name -> index.find(name).get()).toList();
    FunctionLibrary functions = new FunctionLibrary(whole.getLibrary());
    Set<String> called = functions.reachedFrom(needed);
    FunctionDefLibrary.Builder library = functions.usedBy(needed).toBuilder();
    whole.getLibrary().getGradientList().stream()
        .filter(gradient -> called.contains(gradient.getFunctionName()))
        .forEach(library::addGradient);
    return library.build();
  }

  private Set<String> neededNodes() {
    Set<String> ends = new HashSet<>(variablesByNode.keySet());
    inputs.values().forEach(input -> ends.add(input.op().name()));
    return index.reached(
        outputs.values().stream().map(output -> output.op().name()).toList(),
        node -> {
          if (ends.contains(node.getName())) {
            return List.of();
          }
          refuseUnboundSource(node);
          return node.getInputList();
        });
  }

  private static void refuseUnboundSource(NodeDef node) {
    switch (node.getOp()) {
      case "Placeholder" ->
          throw new PerformerException(
              "the outputs depend on placeholder " + node.getName() + ", which is not an input");
      case "VarHandleOp", "VariableV2", "Variable" ->
          throw new PerformerException(
              "the outputs depend on variable " + node.getName() + ", which is not in the list");
      default -> {
        if (TABLE.matcher(node.getOp()).matches()) {
          throw new PerformerException(
              ("the outputs depend on %s %s, and what a lookup table holds cannot be cut out;"
                      + " keep the original model and replace its weights")
                  .formatted(node.getOp(), node.getName()));
        }
      }
    }
  }

  @Override
  public Map<String, Operand<?>> build(TracedFunction.Tracing tracing) {
    Set<String> needed = neededNodes();
    GraphDef.Builder cut = GraphDef.newBuilder().setVersions(whole.getVersions());
    cut.setLibrary(library());
    inputs.values().forEach(in -> cut.addNode(placeholder(in)));
    for (String name : needed) {
      if (inputs.values().stream().noneMatch(in -> in.op().name().equals(name))) {
        cut.addNode(portable(index.find(name).get()));
      }
    }
    Graph inner = tracing.graph();
    inner.importGraphDef(cut.build(), SCOPE);
    inputs.forEach(
        (name, in) ->
            tracing.adoptInput(
                new ArgumentSpec(name, in.type(), in.shape()),
                inner.outputOrThrow(SCOPE + "/" + in.op().name())));
    for (String name : needed) {
      if (variablesByNode.containsKey(name)) {
        tracing.adoptCapture(variablesByNode.get(name), inner.outputOrThrow(SCOPE + "/" + name));
      }
    }
    Map<String, Operand<?>> built = new LinkedHashMap<>();
    outputs.forEach(
        (name, out) ->
            built.put(
                name, inner.outputOrThrow(SCOPE + "/" + out.op().name() + ":" + out.index())));
    return built;
  }

  private static NodeDef placeholder(Output<?> source) {
    if (source.index() != 0) {
      throw new IllegalArgumentException(source + " is not the first output of its operation");
    }
    return NodeBuilders.node(source.op().name(), "Placeholder")
        .putAttr("dtype", NodeBuilders.type(source.dataType()))
        .putAttr(
            "shape", AttrValue.newBuilder().setShape(NodeBuilders.shape(source.shape())).build())
        .build();
  }

  /** Without the machine's devices, and without colocation with nodes that stay behind. */
  private static NodeDef portable(NodeDef node) {
    return node.toBuilder().clearDevice().removeAttr("_class").build();
  }
}
