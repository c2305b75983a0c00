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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef.ArgDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;

/**
 * Writes a saved gradient function into a graph op by op. Inside a gradient callback the graph is
 * locked: importing a GraphDef, asking for gradients or looking up operations would never return.
 */
final class GradientReplay implements RawCustomGradient {
  private final GraphIndex index;
  private final List<String> results = new ArrayList<>(); // null where there is no gradient
  private final List<Output<?>> captured;

  /** Over what {@link #flatten} made of a function, which takes captured tensors in that order. */
  GradientReplay(FlatGraph flat, SavedConcreteFunction concrete, List<Output<?>> captured) {
    index = new GraphIndex(flat.graph().getNodeList());
    this.captured = captured;
    // Python returns None for the inputs of the IdentityN that are forward results.
    var structure = concrete.getOutputSignature();
    var list = structure.getListValue().getValuesList(); // empty if it is a tuple
    int next = 0;
    for (var gradient : list.isEmpty() ? structure.getTupleValue().getValuesList() : list) {
      results.add(gradient.hasNoneValue() ? null : flat.resolve("gradient:" + next++));
    }
  }

  /** Expands the calls of a gradient function, its arguments as placeholders. */
  static FlatGraph flatten(MetaGraphDef metaGraph, FunctionDef function) {
    var signature = function.getSignature();
    GraphDef source = metaGraph.getGraphDef();
    var graph = GraphDef.newBuilder().setVersions(source.getVersions());
    graph.setLibrary(source.getLibrary());
    NodeDef.Builder call = NodeBuilders.node("gradient", "PartitionedCall");
    call.putAttr("f", NodeBuilders.function(signature.getName()));
    for (int i = 0; i < signature.getInputArgCount(); i++) {
      var type = NodeBuilders.type(signature.getInputArg(i).getType());
      graph.addNode(NodeBuilders.node(argument(i), "Placeholder").putAttr("dtype", type));
      call.addInput(argument(i));
    }
    var outputs = IntStream.range(0, signature.getOutputArgCount());
    List<String> roots = outputs.mapToObj(i -> "gradient:" + i).toList();
    return FunctionInliner.inline(graph.addNode(call).build(), roots);
  }

  private static String argument(int i) {
    return "argument" + i;
  }

  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    Map<String, Output<?>> tensors = new HashMap<>();
    List<Output<?>> arguments = new ArrayList<>(gradients);
    arguments.addAll(captured);
    for (int i = 0; i < arguments.size(); i++) {
      tensors.put(argument(i), arguments.get(i));
    }
    List<Operand<?>> perInput = new ArrayList<>();
    for (int i = 0; i < node.numOutputs(); i++) {
      String result = i < results.size() ? results.get(i) : null;
      if (result == null) {
        perInput.add(tf.zerosLike(node.output(i)).asOutput());
      } else {
        build(TensorNames.node(result), tf, tensors);
        perInput.add(tensors.get(result));
      }
    }
    return perInput;
  }

  /** Builds a node after everything it needs, without recursion: gradients can be deep. */
  private void build(String wanted, Ops tf, Map<String, Output<?>> tensors) {
    var todo = new ArrayDeque<>(List.of(wanted));
    while (!todo.isEmpty()) {
      String name = todo.peek();
      if (tensors.containsKey(name)) {
        todo.pop();
        continue;
      }
      NodeDef node = index.require(name, "a custom gradient");
      var inputs = GraphIndex.dataInputs(node).stream().map(TensorNames::node);
      List<String> missing = inputs.filter(input -> !tensors.containsKey(input)).toList();
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
    for (var attribute : node.getAttrMap().entrySet()) {
      if (!attribute.getKey().startsWith("_")) {
        builder.setAttr(attribute.getKey(), attribute.getValue());
      }
    }
    var operation = builder.build();
    for (int i = 0; i < operation.numOutputs(); i++) {
      tensors.put(TensorNames.of(node.getName(), i), operation.output(i));
    }
    PerformerException.require(
        operation.numOutputs() > 0, "a custom gradient uses the result of %s", node.getOp());
  }

  private static void addInputs(OperationBuilder builder, NodeDef node, List<Output<?>> inputs) {
    int position = 0;
    for (ArgDef argument : OpDefinitions.find(node.getOp()).orElseThrow().getInputArgList()) {
      int end = position + OpDefinitions.length(argument, node.getAttrMap());
      if (argument.getNumberAttr().isEmpty() && argument.getTypeListAttr().isEmpty()) {
        builder.addInput(inputs.get(position));
      } else {
        builder.addInputList(inputs.subList(position, end).toArray(Output<?>[]::new));
      }
      position = end;
    }
  }
}
