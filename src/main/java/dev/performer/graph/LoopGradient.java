package dev.performer.graph;

import static dev.performer.graph.FunctionBody.saved;
import static dev.performer.graph.FunctionBody.upstream;
import static dev.performer.graph.FunctionGraph.argument;
import static dev.performer.graph.GraphProtos.INT32;
import static dev.performer.graph.GraphProtos.ints;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;

/**
 * The gradient of {@code While}. The loop counts its iterations and keeps, in lists, what enters
 * each of them; the gradient is a loop that takes these from the lists' ends, computes an iteration
 * again, and goes back through it. What no iteration changes is not kept but passed on.
 *
 * @param counter the output that holds the number of iterations; lists follow it
 * @param carried loop variables that have a gradient
 * @param unchanged inputs of the loop that the gradient uses as they are
 */
record LoopGradient(
    int counter,
    int lists,
    List<Integer> carried,
    List<Integer> unchanged,
    String condition,
    String body,
    boolean isLowered)
    implements RawCustomGradient {
  /** What is kept of each iteration: a name inside the body, and what it is called afterwards. */
  private record Kept(String inBody, String inGradient, DataType type) {}

  static ControlFlowGradients.Rewritten rewrite(
      ControlFlowGradients context,
      NodeDef loop,
      List<DataType> original,
      Map<Integer, NodeDef> handles,
      String scope) {
    List<DataType> types = new ArrayList<>(original);
    List<String> inputs = new ArrayList<>(GraphIndex.dataInputs(loop));
    var body = new FunctionBody(context, loop.getAttrOrThrow("body").getFunc(), original, handles);
    Map<Integer, DataType> variables = body.read();
    body.readBefore(variables);
    List<NodeDef> nodes = new ArrayList<>();
    nodes.add(ints(scope + "none", Shape.scalar(), 0).build());
    nodes.add(ints(scope + "any", Shape.scalar(), -1).build());
    handles.keySet().forEach(i -> inputs.set(i, scope + "none"));
    variables.forEach(
        (variable, type) -> {
          String name = scope + "value" + variable;
          var read = node(name, "ReadVariableOp", loop.getInput(variable));
          read.addAllInput(GraphIndex.controlInputs(loop));
          nodes.add(read.putAttr("dtype", type(type)).build());
          body.results().add(argument(types.size()));
          inputs.add(name);
          types.add(type);
        });
    List<Integer> carried = body.differentiable();
    FunctionBody.Gradient gradient = body.gradient(carried, carried);
    List<Kept> kept = new ArrayList<>();
    List<Integer> unchanged = new ArrayList<>();
    for (int i : gradient.needed()) {
      if (body.argumentOf(body.results().get(i)) == i) {
        unchanged.add(i);
      } else {
        kept.add(new Kept(argument(i), argument(i), types.get(i)));
      }
    }
    for (String reference : gradient.saved()) {
      String name = saved(kept.size() - gradient.needed().size() + unchanged.size());
      kept.add(new Kept(reference, name, body.typeOf(reference)));
    }
    List<DataType> all = new ArrayList<>(FunctionBody.arguments(types).values());
    all.add(DataType.DT_INT32);
    all.addAll(Collections.nCopies(kept.size(), DataType.DT_VARIANT));
    inputs.add(scope + "none");
    for (int i = 0; i < kept.size(); i++) {
      String any = scope + "any";
      var list = node(scope + "kept" + i, "EmptyTensorList", any, any);
      list.putAttr("element_dtype", type(kept.get(i).type())).putAttr("shape_type", INT32);
      nodes.add(list.build());
      inputs.add(list.getName());
    }
    int more = all.size() - GraphIndex.dataInputs(loop).size();
    NodeDef.Builder forward = ControlFlowGradients.widened(loop, more);
    forward.putAttr("T", GraphProtos.types(all));
    forward.putAttr("body", GraphProtos.function(counting(context, body, kept)));
    var condition =
        FunctionGraph.of(
            context.library(),
            loop.getAttrOrThrow("cond").getFunc(),
            original,
            handles,
            context.own()::alsoNeeded);
    forward.putAttr("cond", GraphProtos.function(wider(context, condition, original, all)));
    nodes.add(forward.addAllInput(inputs).addAllInput(GraphIndex.controlInputs(loop)).build());

    Map<String, DataType> arguments = new LinkedHashMap<>();
    arguments.put("remaining", DataType.DT_INT32);
    carried.forEach(i -> arguments.put(upstream(i), types.get(i)));
    for (int i = 0; i < kept.size(); i++) {
      arguments.put("kept" + i, DataType.DT_VARIANT);
    }
    unchanged.forEach(i -> arguments.put(argument(i), types.get(i)));
    boolean isLowered = ControlFlowGradients.isLowered(loop);
    String back = backward(context, gradient, kept, carried, unchanged, arguments);
    String goOn = notOver(context, arguments);
    var own =
        new LoopGradient(types.size(), kept.size(), carried, unchanged, goOn, back, isLowered);
    return new ControlFlowGradients.Rewritten(nodes, own, carried);
  }

  /** The body, which also counts and keeps. */
  private static String counting(ControlFlowGradients context, FunctionBody body, List<Kept> kept) {
    List<NodeDef> more = new ArrayList<>();
    more.add(ints("one", Shape.scalar(), 1).build());
    more.add(node("count", "AddV2", "counter", "one").putAttr("T", INT32).build());
    Map<String, DataType> arguments = new LinkedHashMap<>();
    arguments.put("counter", DataType.DT_INT32);
    List<String> results = new ArrayList<>(List.of("count"));
    for (int i = 0; i < kept.size(); i++) {
      var push = node("push" + i, "TensorListPushBack", "kept" + i, kept.get(i).inBody());
      more.add(push.putAttr("element_dtype", type(kept.get(i).type())).build());
      arguments.put("kept" + i, DataType.DT_VARIANT);
      results.add("push" + i);
    }
    String name = context.freshName("counting_body");
    context.add(body.function(name, arguments, more, results));
    return name;
  }

  /** The condition, which takes more arguments and ignores them. */
  private static String wider(
      ControlFlowGradients context,
      FunctionGraph condition,
      List<DataType> original,
      List<DataType> all) {
    Map<String, DataType> arguments = FunctionBody.arguments(original);
    for (int i = original.size(); i < all.size(); i++) {
      arguments.put("unused" + i, all.get(i));
    }
    var nodes = condition.flat().graph().getNodeList();
    var finished = List.of(TensorNames.node(condition.finished()));
    String name = context.freshName("counting_condition");
    context.add(FunctionGraph.function(name, arguments, nodes, condition.results(), finished));
    return name;
  }

  private static String backward(
      ControlFlowGradients context,
      FunctionBody.Gradient gradient,
      List<Kept> kept,
      List<Integer> carried,
      List<Integer> unchanged,
      Map<String, DataType> arguments) {
    List<NodeDef> nodes = new ArrayList<>();
    nodes.add(ints("one", Shape.scalar(), 1).build());
    nodes.add(ints("any", Shape.scalar(), -1).build());
    nodes.add(node("left", "Sub", "remaining", "one").putAttr("T", INT32).build());
    List<String> results = new ArrayList<>(List.of("left"));
    carried.forEach(i -> results.add(gradient.ofArguments().get(i)));
    Map<String, NodeDef> placeholders = new LinkedHashMap<>();
    for (int i = 0; i < kept.size(); i++) {
      AttrValue type = type(kept.get(i).type());
      var pop = node("pop" + i, "TensorListPopBack", "kept" + i, "any");
      nodes.add(pop.putAttr("element_dtype", type).build());
      String name = kept.get(i).inGradient();
      placeholders.put(name, node(name, "Identity", "pop" + i + ":1").putAttr("T", type).build());
      results.add("pop" + i);
    }
    unchanged.forEach(i -> results.add(argument(i)));
    for (NodeDef node : gradient.nodes()) {
      if (!arguments.containsKey(node.getName())) {
        nodes.add(placeholders.getOrDefault(node.getName(), node));
      }
    }
    String name = context.freshName("gradient_of_body");
    context.add(FunctionGraph.function(name, arguments, nodes, results, List.of()));
    return name;
  }

  private static String notOver(ControlFlowGradients context, Map<String, DataType> arguments) {
    List<NodeDef> nodes = new ArrayList<>();
    nodes.add(ints("zero", Shape.scalar(), 0).build());
    nodes.add(node("more", "Greater", "remaining", "zero").putAttr("T", INT32).build());
    String name = context.freshName("gradient_of_condition");
    context.add(FunctionGraph.function(name, arguments, nodes, List.of("more"), List.of()));
    return name;
  }

  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawOps ops = new RawOps(tf);
    List<Output<?>> inputs = new ArrayList<>();
    inputs.add(node.output(counter));
    for (int i : carried) {
      inputs.add(ops.orZeros(gradients.get(i), node.output(i)));
    }
    for (int i = 0; i < lists; i++) {
      inputs.add(node.output(counter + 1 + i));
    }
    unchanged.forEach(i -> inputs.add(node.input(i)));
    OperationBuilder loop = ops.builder(node.type());
    loop.addInputList(inputs.toArray(Output<?>[]::new));
    loop.setAttr("T", inputs.stream().map(Output::dataType).toArray(DataType[]::new));
    loop.setAttr("cond", GraphProtos.function(condition));
    loop.setAttr("body", GraphProtos.function(body));
    loop.setAttr(ControlFlowGradients.LOWER, isLowered);
    var results = loop.build();
    List<Operand<?>> all = new ArrayList<>();
    for (int i = 0; i < node.numInputs(); i++) {
      int position = carried.indexOf(i);
      all.add(position < 0 ? null : results.output(1 + position));
    }
    return all;
  }
}
