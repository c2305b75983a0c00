package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import dev.performer.graph.FlatGraph.Call;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.FunctionDefLibrary;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/**
 * A function's body as a flat graph: its arguments are placeholders, the calls in it are expanded.
 *
 * @param results references in the flat graph
 * @param finished control reference to what the function has done when it is over
 */
public record FunctionGraph(FlatGraph flat, List<String> results, String finished) {
  private static final String CALL = "call";

  /**
   * Flattens a function; retention as for {@link FunctionInliner#inline}.
   *
   * @param sources nodes without inputs that stand in the body for some of the arguments
   */
  public static FunctionGraph of(
      FunctionDefLibrary library,
      NameAttrList function,
      List<DataType> types,
      Map<Integer, NodeDef> sources,
      BiFunction<NodeDef, Optional<Call>, List<String>> retention) {
    Optional<FunctionDef> known = new FunctionLibrary(library).find(function.getName());
    require(known.isPresent(), "the graph has no function %s", function.getName());
    FunctionDef definition = known.get();
    GraphDef.Builder graph = GraphDef.newBuilder().setLibrary(library);
    NodeDef.Builder call = node(CALL, "PartitionedCall");
    call.putAttr("f", AttrValue.newBuilder().setFunc(function).build());
    for (int i = 0; i < types.size(); i++) {
      var placeholder = node(argument(i), "Placeholder").putAttr("dtype", type(types.get(i)));
      shape(definition, i).ifPresent(shape -> placeholder.putAttr("shape", shape));
      NodeDef given = sources.getOrDefault(i, placeholder.build());
      graph.addNode(given.toBuilder().setName(argument(i)));
      call.addInput(argument(i));
    }
    int count = 0;
    for (ArgDef output : definition.getSignature().getOutputArgList()) {
      count += OpDefinitions.length(output, function.getAttrMap());
    }
    List<String> roots = new ArrayList<>();
    IntStream.range(0, count).forEach(i -> roots.add(TensorNames.of(CALL, i)));
    roots.add("^" + CALL);
    IntStream.range(0, types.size()).forEach(i -> roots.add(argument(i)));
    FlatGraph flat = FunctionInliner.inline(graph.addNode(call).build(), roots, retention);
    var results = roots.subList(0, count).stream().map(flat::resolve).toList();
    return new FunctionGraph(flat, results, flat.resolve("^" + CALL));
  }

  /** As Python traced the function. */
  private static Optional<AttrValue> shape(FunctionDef definition, int argument) {
    var traced = definition.getArgAttrMap().get(argument);
    var shapes = traced == null ? null : traced.getAttrMap().get("_output_shapes");
    return shapes == null || shapes.getList().getShapeCount() != 1
        ? Optional.empty()
        : Optional.of(AttrValue.newBuilder().setShape(shapes.getList().getShape(0)).build());
  }

  public static String argument(int i) {
    return "argument" + i;
  }

  static boolean isArgument(NodeDef node) {
    return node.getOp().equals("Placeholder") && node.getName().matches("argument\\d+");
  }

  /**
   * Writes nodes of a main graph as a function.
   *
   * @param arguments names of the nodes that are its arguments, which need not be among the nodes
   * @param results references, or names of arguments
   * @param finished names of nodes that run whether or not a result depends on them
   */
  static FunctionDef function(
      String name,
      Map<String, DataType> arguments,
      Collection<NodeDef> nodes,
      List<String> results,
      Collection<String> finished) {
    FunctionDef.Builder function = FunctionDef.newBuilder();
    OpDef.Builder signature = function.getSignatureBuilder().setName(name);
    arguments.forEach(
        (arg, t) -> signature.addInputArg(ArgDef.newBuilder().setName(arg).setType(t)));
    GraphIndex index = new GraphIndex(nodes);
    for (NodeDef node : nodes) {
      if (!arguments.containsKey(node.getName())) {
        NodeDef.Builder inner = node.toBuilder().clearInput().clearDevice();
        for (String input : node.getInputList()) {
          boolean isArgument = arguments.containsKey(TensorNames.node(input));
          if (!TensorNames.isControl(input)) {
            inner.addInput(reference(input, arguments.keySet(), index));
          } else if (!isArgument) {
            inner.addInput(input);
          }
        }
        function.addNodeDef(inner);
        signature.setIsStateful(signature.getIsStateful() || OpDefinitions.isStateful(node));
      }
    }
    for (int i = 0; i < results.size(); i++) {
      String result = results.get(i);
      String node = TensorNames.node(result);
      DataType t =
          arguments.containsKey(node)
              ? arguments.get(node)
              : OpDefinitions.outputTypes(index.require(node, name)).get(TensorNames.index(result));
      signature.addOutputArg(ArgDef.newBuilder().setName("result" + i).setType(t));
      function.putRet("result" + i, reference(result, arguments.keySet(), index));
    }
    finished.forEach(node -> function.putControlRet(node, node));
    return function.setSignature(signature.addAllControlOutput(finished)).build();
  }

  private static String reference(String reference, Set<String> arguments, GraphIndex index) {
    String name = TensorNames.node(reference);
    if (arguments.contains(name)) {
      return name;
    }
    NodeDef node = index.require(name, "a function");
    return name + ":" + OpDefinitions.outputName(node, TensorNames.index(reference));
  }
}
