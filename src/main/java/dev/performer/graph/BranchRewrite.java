package dev.performer.graph;

import static dev.performer.graph.FunctionBody.saved;
import static dev.performer.graph.FunctionBody.upstream;
import static dev.performer.graph.FunctionGraph.argument;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/**
 * Makes an {@code If} or {@code Case} keep what {@link BranchGradient} needs, and its functions.
 */
final class BranchRewrite {
  private final ControlFlowGradients context;
  private final NodeDef choice;
  private final Map<Integer, NodeDef> handles;
  private final List<FunctionBody> branches = new ArrayList<>();
  private final List<FunctionBody.Gradient> gradients = new ArrayList<>();
  private final Map<Integer, DataType> variables = new LinkedHashMap<>();
  private final List<DataType> types;
  private final List<DataType> outputs;
  private final int firstSaved;
  private final List<Integer> differentiated;
  private final List<Integer> results;
  private final List<Integer> used;

  /**
   * @throws Refusal if a branch has no gradient
   */
  BranchRewrite(
      ControlFlowGradients context,
      NodeDef choice,
      List<DataType> original,
      Map<Integer, NodeDef> handles) {
    this.context = context;
    this.choice = choice;
    this.handles = handles;
    for (NameAttrList branch : functions(choice)) {
      branches.add(new FunctionBody(context, branch, original, handles));
    }
    branches.forEach(branch -> variables.putAll(branch.read()));
    branches.forEach(branch -> branch.readBefore(variables));
    types = branches.get(0).types();
    outputs = new ArrayList<>(choice.getAttrOrThrow("Tout").getList().getTypeList());
    firstSaved = outputs.size();
    differentiated = union(branches.stream().map(FunctionBody::differentiable).toList());
    var all = IntStream.range(0, firstSaved);
    results = all.filter(i -> FunctionBody.isNumber(outputs.get(i))).boxed().toList();
    branches.forEach(branch -> gradients.add(branch.gradient(differentiated, results)));
    used = union(gradients.stream().map(FunctionBody.Gradient::needed).toList());
    for (int i = 0; i < branches.size(); i++) {
      gradients.get(i).saved().stream().map(branches.get(i)::typeOf).forEach(outputs::add);
    }
  }

  private static List<Integer> union(List<? extends Collection<Integer>> all) {
    return all.stream().flatMap(Collection::stream).distinct().sorted().toList();
  }

  /**
   * @param scope for the names of new nodes
   */
  ControlFlowGradients.Rewritten rewritten(String scope) {
    String none = scope + "none";
    List<NodeDef> nodes = new ArrayList<>();
    nodes.add(GraphProtos.ints(none, Shape.scalar(), 0).build());
    List<String> inputs = new ArrayList<>(GraphIndex.dataInputs(choice));
    handles.keySet().forEach(i -> inputs.set(1 + i, none));
    inputs.addAll(ControlFlowGradients.readBefore(choice, 1, variables, scope, nodes));
    List<String> forward = new ArrayList<>();
    List<String> backward = new ArrayList<>();
    int first = firstSaved;
    for (int i = 0; i < branches.size(); i++) {
      forward.add(keeping(i, first));
      backward.add(gradient(i, first));
      first += gradients.get(i).saved().size();
    }
    NodeDef.Builder wide = ControlFlowGradients.widened(choice, outputs.size() - firstSaved);
    var arguments = List.copyOf(FunctionBody.arguments(types).values());
    wide.putAttr("Tin", GraphProtos.types(arguments)).putAttr("Tout", GraphProtos.types(outputs));
    wide.putAllAttr(attributes(choice, forward)).addAllInput(inputs);
    nodes.add(wide.addAllInput(GraphIndex.controlInputs(choice)).build());
    boolean isLowered = ControlFlowGradients.isLowered(choice);
    var functions = attributes(choice, backward);
    var own = new BranchGradient(differentiated, results, used, firstSaved, functions, isLowered);
    List<Integer> carried = differentiated.stream().map(i -> 1 + i).toList();
    return new ControlFlowGradients.Rewritten(nodes, own, carried);
  }

  /** Which of its own saved results an output is; −1 for another branch's. */
  private int own(int output, int branch, int first) {
    int number = output - first;
    return number < gradients.get(branch).saved().size() ? Math.max(-1, number) : -1;
  }

  /** A branch that also gives what is saved: its own, and nothing in the place of others'. */
  private String keeping(int branch, int first) {
    List<NodeDef> fillers = new ArrayList<>();
    List<String> kept = new ArrayList<>();
    for (int i = firstSaved; i < outputs.size(); i++) {
      int own = own(i, branch, first);
      if (own < 0) {
        fillers.add(empty("filler" + i, outputs.get(i)));
      }
      kept.add(own < 0 ? "filler" + i : gradients.get(branch).saved().get(own));
    }
    String name = context.freshName("keeping_branch");
    context.add(branches.get(branch).function(name, Map.of(), fillers, kept));
    return name;
  }

  private String gradient(int branch, int first) {
    Map<String, DataType> arguments = new LinkedHashMap<>();
    results.forEach(i -> arguments.put(upstream(i), outputs.get(i)));
    used.forEach(i -> arguments.put(argument(i), types.get(i)));
    for (int i = firstSaved; i < outputs.size(); i++) {
      int own = own(i, branch, first);
      arguments.put(own < 0 ? "other" + i : saved(own), outputs.get(i));
    }
    var gradient = gradients.get(branch);
    var found = differentiated.stream().map(gradient.ofArguments()::get).toList();
    String name = context.freshName("gradient_of_branch");
    context.add(FunctionGraph.function(name, arguments, gradient.nodes(), found, List.of()));
    return name;
  }

  private static List<NameAttrList> functions(NodeDef choice) {
    return choice.containsAttr("branches")
        ? choice.getAttrOrThrow("branches").getList().getFuncList()
        : List.of(
            choice.getAttrOrThrow("then_branch").getFunc(),
            choice.getAttrOrThrow("else_branch").getFunc());
  }

  private static Map<String, AttrValue> attributes(NodeDef choice, List<String> functions) {
    if (!choice.containsAttr("branches")) {
      return Map.of(
          "then_branch", GraphProtos.function(functions.get(0)),
          "else_branch", GraphProtos.function(functions.get(1)));
    }
    var list = AttrValue.ListValue.newBuilder();
    functions.forEach(name -> list.addFunc(NameAttrList.newBuilder().setName(name)));
    return Map.of("branches", AttrValue.newBuilder().setList(list).build());
  }

  /** Stands where another branch has something to save. */
  private static NodeDef empty(String name, DataType type) {
    var none = TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dim.newBuilder().setSize(0));
    var tensor = TensorProto.newBuilder().setDtype(type).setTensorShape(none);
    var value = AttrValue.newBuilder().setTensor(tensor).build();
    return node(name, "Const").putAttr("dtype", type(type)).putAttr("value", value).build();
  }
}
