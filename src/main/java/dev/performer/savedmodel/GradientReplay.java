package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.NodeBuilders;
import dev.performer.graph.OpDefinitions;
import dev.performer.graph.TensorNames;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;
import org.tensorflow.proto.Struct.StructuredValue;

/**
 * Writes a saved gradient function into a graph op by op. Inside a gradient callback the graph is
 * locked: importing a GraphDef, asking for gradients or looking up operations would never return.
 */
final class GradientReplay implements RawCustomGradient {
  private final GraphIndex index;
  private final List<String> results = new ArrayList<>();
  private final List<Boolean> hasGradient;
  private final List<Output<?>> captured;

  /**
   * @param flat what {@link #flatten} made of the gradient function
   * @param concrete what Python knows of it
   * @param captured tensors of the forward pass in the order in which the function takes them
   */
  GradientReplay(FlatGraph flat, SavedConcreteFunction concrete, List<Output<?>> captured) {
    index = new GraphIndex(flat.graph().getNodeList());
    hasGradient = hasGradient(concrete);
    long count = hasGradient.stream().filter(given -> given).count();
    for (int i = 0; i < count; i++) {
      results.add(flat.resolve("gradient:" + i));
    }
    this.captured = captured;
  }

  /** Expands the calls of a gradient function, its arguments as placeholders. */
  static FlatGraph flatten(MetaGraphDef metaGraph, FunctionDef function) {
    OpDef signature = function.getSignature();
    GraphDef source = metaGraph.getGraphDef();
    GraphDef.Builder graph =
        GraphDef.newBuilder().setVersions(source.getVersions()).setLibrary(source.getLibrary());
    NodeDef.Builder call =
        NodeBuilders.node("gradient", "PartitionedCall")
            .putAttr("f", NodeBuilders.function(signature.getName()));
    for (int i = 0; i < signature.getInputArgCount(); i++) {
      AttrValue type = NodeBuilders.type(signature.getInputArg(i).getType());
      graph.addNode(NodeBuilders.node(argument(i), "Placeholder").putAttr("dtype", type));
      call.addInput(argument(i));
    }
    List<String> roots = new ArrayList<>();
    for (int i = 0; i < signature.getOutputArgCount(); i++) {
      roots.add("gradient:" + i);
    }
    return FunctionInliner.inline(graph.addNode(call).build(), roots);
  }

  private static String argument(int i) {
    return "argument" + i;
  }

  /** Which inputs of the IdentityN get a gradient: Python returns None for the forward results. */
  private static List<Boolean> hasGradient(SavedConcreteFunction concrete) {
    StructuredValue structure = concrete.getOutputSignature();
    List<StructuredValue> values =
        structure.hasListValue()
            ? structure.getListValue().getValuesList()
            : structure.getTupleValue().getValuesList();
    return values.stream().map(value -> !value.hasNoneValue()).toList();
  }

  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    Map<String, Output<?>> tensors = new HashMap<>();
    List<Output<?>> arguments = new ArrayList<>(gradients);
    arguments.addAll(captured);
    for (int i = 0; i < arguments.size(); i++) {
      tensors.put(argument(i), arguments.get(i));
    }
    results.forEach(result -> build(TensorNames.node(result), tf, tensors));
    List<Operand<?>> perInput = new ArrayList<>();
    int next = 0;
    for (int i = 0; i < node.numOutputs(); i++) {
      boolean given = i < hasGradient.size() && hasGradient.get(i);
      perInput.add(
          given ? tensors.get(results.get(next++)) : tf.zerosLike(node.output(i)).asOutput());
    }
    return perInput;
  }

  /** Builds a node after everything it needs, without recursion: gradients can be deep. */
  private void build(String wanted, Ops tf, Map<String, Output<?>> tensors) {
    Deque<String> todo = new ArrayDeque<>(List.of(wanted));
    while (!todo.isEmpty()) {
      String name = todo.peek();
      if (tensors.containsKey(name)) {
        todo.pop();
        continue;
      }
      NodeDef node = index.require(name, "a custom gradient");
      List<String> missing =
          GraphIndex.dataInputs(node).stream()
              .map(TensorNames::node)
              .filter(i -> !tensors.containsKey(i))
              .toList();
      if (missing.isEmpty()) {
        write(node, tf, tensors);
        todo.pop();
      } else {
        missing.forEach(todo::push);
      }
    }
  }

  private static void write(NodeDef node, Ops tf, Map<String, Output<?>> tensors) {
    String shortName = node.getName().substring(node.getName().lastIndexOf('/') + 1);
    OperationBuilder builder = tf.scope().opBuilder(node.getOp(), shortName);
    List<Output<?>> inputs = new ArrayList<>();
    GraphIndex.dataInputs(node).forEach(input -> inputs.add(tensors.get(input)));
    addInputs(builder, node, inputs);
    node.getAttrMap()
        .forEach(
            (key, value) -> {
              if (!key.startsWith("_")) {
                builder.setAttr(key, value);
              }
            });
    var operation = builder.build();
    for (int i = 0; i < operation.numOutputs(); i++) {
      tensors.put(TensorNames.of(node.getName(), i), operation.output(i));
    }
    if (operation.numOutputs() == 0) {
      throw new PerformerException("a custom gradient uses the result of " + node.getOp());
    }
  }

  private static void addInputs(OperationBuilder builder, NodeDef node, List<Output<?>> inputs) {
    int position = 0;
    for (ArgDef argument : OpDefinitions.find(node.getOp()).orElseThrow().getInputArgList()) {
      boolean list = !argument.getNumberAttr().isEmpty() || !argument.getTypeListAttr().isEmpty();
      if (!list) {
        builder.addInput(inputs.get(position++));
        continue;
      }
      int end = position + OpDefinitions.length(argument, node.getAttrMap());
      builder.addInputList(inputs.subList(position, end).toArray(new Output<?>[0]));
      position = end;
    }
  }
}
