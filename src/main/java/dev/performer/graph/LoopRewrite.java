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
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;

/**
 * Makes a {@code While} count and keep what {@link LoopGradient} needs, and that loop's functions.
 */
final class LoopRewrite {
  private final ControlFlowGradients context;
  private final NodeDef loop;
  private final List<DataType> original;
  private final Map<Integer, NodeDef> handles;
  private final FunctionBody body;
  private final List<Integer> carried;
  private final FunctionBody.Gradient gradient;
  private final List<Integer> unchanged = new ArrayList<>();
  private final List<Kept> kept = new ArrayList<>();

  /** What is kept of each iteration: a name inside the body, and what it is called afterwards. */
  private record Kept(String inBody, String inGradient, DataType type) {}

  /**
   * @throws Refusal if the body has no gradient
   */
  LoopRewrite(
      ControlFlowGradients context,
      NodeDef loop,
      List<DataType> original,
      Map<Integer, NodeDef> handles) {
    this.context = context;
    this.loop = loop;
    this.original = original;
    this.handles = handles;
    body = new FunctionBody(context, loop.getAttrOrThrow("body").getFunc(), original, handles);
    body.readBefore(body.read());
    for (int i = original.size(); i < body.types().size(); i++) {
      body.results().add(argument(i));
    }
    carried = body.differentiable();
    gradient = body.gradient(carried, carried);
    for (int i : gradient.needed()) {
      if (body.argumentOf(body.results().get(i)) == i) {
        unchanged.add(i);
      } else {
        kept.add(new Kept(argument(i), argument(i), body.types().get(i)));
      }
    }
    for (int i = 0; i < gradient.saved().size(); i++) {
      String reference = gradient.saved().get(i);
      kept.add(new Kept(reference, saved(i), body.typeOf(reference)));
    }
  }

  /**
   * @param scope for the names of new nodes
   */
  ControlFlowGradients.Rewritten rewritten(String scope) {
    List<DataType> types = new ArrayList<>(FunctionBody.arguments(body.types()).values());
    int counter = types.size();
    types.add(DataType.DT_INT32);
    types.addAll(Collections.nCopies(kept.size(), DataType.DT_VARIANT));
    int more = types.size() - original.size();
    NodeDef.Builder forward = ControlFlowGradients.widened(loop, more);
    forward.putAttr("T", GraphProtos.types(types));
    forward.putAttr("body", GraphProtos.function(counting()));
    forward.putAttr("cond", GraphProtos.function(wider(types)));
    List<NodeDef> nodes = new ArrayList<>();
    forward.addAllInput(inputs(scope, nodes)).addAllInput(GraphIndex.controlInputs(loop));
    nodes.add(forward.build());
    Map<String, DataType> arguments = new LinkedHashMap<>();
    arguments.put("remaining", DataType.DT_INT32);
    carried.forEach(i -> arguments.put(upstream(i), types.get(i)));
    for (int i = 0; i < kept.size(); i++) {
      arguments.put("kept" + i, DataType.DT_VARIANT);
    }
    unchanged.forEach(i -> arguments.put(argument(i), types.get(i)));
    String condition = notOver(arguments);
    var own =
        new LoopGradient(
            counter,
            kept.size(),
            carried,
            unchanged,
            condition,
            backward(arguments),
            ControlFlowGradients.isLowered(loop));
    return new ControlFlowGradients.Rewritten(nodes, own, carried);
  }

  /** What enters the loop: its variables, none yet counted, and empty lists. */
  private List<String> inputs(String scope, List<NodeDef> nodes) {
    String none = scope + "none";
    String any = scope + "any";
    nodes.add(ints(none, Shape.scalar(), 0).build());
    nodes.add(ints(any, Shape.scalar(), -1).build());
    List<String> inputs = new ArrayList<>(GraphIndex.dataInputs(loop));
    handles.keySet().forEach(i -> inputs.set(i, none));
    inputs.addAll(ControlFlowGradients.readBefore(loop, 0, body.read(), scope, nodes));
    inputs.add(none);
    for (int i = 0; i < kept.size(); i++) {
      var list = node(scope + "kept" + i, "EmptyTensorList", any, any);
      list.putAttr("element_dtype", type(kept.get(i).type())).putAttr("shape_type", INT32);
      nodes.add(list.build());
      inputs.add(list.getName());
    }
    return inputs;
  }

  /** The body, which also counts and keeps. */
  private String counting() {
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
  private String wider(List<DataType> all) {
    var function = loop.getAttrOrThrow("cond").getFunc();
    var condition =
        FunctionGraph.of(context.library(), function, original, handles, context.own()::alsoNeeded);
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

  /** An iteration again, and back through it. */
  private String backward(Map<String, DataType> arguments) {
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

  private String notOver(Map<String, DataType> arguments) {
    List<NodeDef> nodes = new ArrayList<>();
    nodes.add(ints("zero", Shape.scalar(), 0).build());
    nodes.add(node("more", "Greater", "remaining", "zero").putAttr("T", INT32).build());
    String name = context.freshName("gradient_of_condition");
    context.add(FunctionGraph.function(name, arguments, nodes, List.of("more"), List.of()));
    return name;
  }
}
