package dev.performer.graph;

import static dev.performer.graph.FunctionBody.saved;
import static dev.performer.graph.FunctionBody.upstream;
import static dev.performer.graph.FunctionGraph.argument;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/**
 * The gradient of {@code If} and {@code Case}: the same choice between the branches' gradients,
 * each of which computes its branch again.
 *
 * @param differentiated inputs of the branches, without the choice, that have a gradient
 * @param results of the branches that have a gradient
 * @param needed inputs of the branches that a gradient uses
 * @param firstSaved outputs from this one on are what cannot be computed again
 * @param functions attributes that name the gradients of the branches
 */
record BranchGradient(
    List<Integer> differentiated,
    List<Integer> results,
    List<Integer> needed,
    int firstSaved,
    Map<String, AttrValue> functions,
    boolean isLowered)
    implements RawCustomGradient {
  static ControlFlowGradients.Rewritten rewrite(
      ControlFlowGradients context,
      NodeDef choice,
      List<DataType> original,
      Map<Integer, NodeDef> handles,
      String scope) {
    List<DataType> types = new ArrayList<>(original);
    List<DataType> outputs = new ArrayList<>(choice.getAttrOrThrow("Tout").getList().getTypeList());
    List<String> inputs = new ArrayList<>(GraphIndex.dataInputs(choice));
    List<FunctionBody> branches = new ArrayList<>();
    for (NameAttrList branch : functions(choice)) {
      branches.add(new FunctionBody(context, branch, original, handles));
    }
    Map<Integer, DataType> variables = new LinkedHashMap<>();
    branches.forEach(branch -> variables.putAll(branch.read()));
    branches.forEach(branch -> branch.readBefore(variables));
    List<NodeDef> nodes = new ArrayList<>();
    nodes.add(GraphProtos.ints(scope + "none", Shape.scalar(), 0).build());
    handles.keySet().forEach(i -> inputs.set(1 + i, scope + "none"));
    variables.forEach(
        (variable, type) -> {
          String name = scope + "value" + variable;
          var read = node(name, "ReadVariableOp", choice.getInput(1 + variable));
          read.addAllInput(GraphIndex.controlInputs(choice));
          nodes.add(read.putAttr("dtype", type(type)).build());
          inputs.add(name);
          types.add(type);
        });
    var all = new TreeSet<Integer>();
    branches.forEach(branch -> all.addAll(branch.differentiable()));
    List<Integer> differentiated = List.copyOf(all);
    List<Integer> results =
        IntStream.range(0, outputs.size())
            .filter(i -> FunctionBody.isNumber(outputs.get(i)))
            .boxed()
            .toList();
    List<FunctionBody.Gradient> gradients = new ArrayList<>();
    branches.forEach(branch -> gradients.add(branch.gradient(differentiated, results)));
    var used = new TreeSet<Integer>();
    gradients.forEach(gradient -> used.addAll(gradient.needed()));
    int firstSaved = outputs.size();
    List<String> forward = new ArrayList<>();
    List<String> backward = new ArrayList<>();
    for (int i = 0; i < branches.size(); i++) {
      for (String reference : gradients.get(i).saved()) {
        outputs.add(branches.get(i).typeOf(reference));
      }
    }
    int offset = 0;
    for (int i = 0; i < branches.size(); i++) {
      List<String> saved = gradients.get(i).saved();
      List<NodeDef> fillers = new ArrayList<>();
      List<String> kept = new ArrayList<>();
      Map<String, DataType> arguments = new LinkedHashMap<>();
      results.forEach(j -> arguments.put(upstream(j), outputs.get(j)));
      used.forEach(j -> arguments.put(argument(j), types.get(j)));
      for (int j = firstSaved; j < outputs.size(); j++) {
        int own = j - firstSaved - offset;
        boolean isOwn = own >= 0 && own < saved.size();
        if (!isOwn) {
          fillers.add(empty("filler" + j, outputs.get(j)));
        }
        kept.add(isOwn ? saved.get(own) : "filler" + j);
        arguments.put(isOwn ? saved(own) : "other" + j, outputs.get(j));
      }
      offset += saved.size();
      forward.add(context.freshName("keeping_branch"));
      context.add(branches.get(i).function(forward.get(i), Map.of(), fillers, kept));
      Map<Integer, String> found = gradients.get(i).ofArguments();
      backward.add(context.freshName("gradient_of_branch"));
      context.add(
          FunctionGraph.function(
              backward.get(i),
              arguments,
              gradients.get(i).nodes(),
              differentiated.stream().map(found::get).toList(),
              List.of()));
    }
    int more = outputs.size() - firstSaved;
    NodeDef.Builder rewritten = ControlFlowGradients.widened(choice, more);
    var arguments = List.copyOf(FunctionBody.arguments(types).values());
    rewritten
        .putAttr("Tin", GraphProtos.types(arguments))
        .putAttr("Tout", GraphProtos.types(outputs));
    rewritten.putAllAttr(attributes(choice, forward)).addAllInput(inputs);
    nodes.add(rewritten.addAllInput(GraphIndex.controlInputs(choice)).build());
    boolean isLowered = ControlFlowGradients.isLowered(choice);
    var own =
        new BranchGradient(
            differentiated,
            results,
            List.copyOf(used),
            firstSaved,
            attributes(choice, backward),
            isLowered);
    return new ControlFlowGradients.Rewritten(
        nodes, own, differentiated.stream().map(i -> 1 + i).toList());
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

  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawOps ops = new RawOps(tf);
    List<Output<?>> inputs = new ArrayList<>();
    for (int i : results) {
      inputs.add(ops.orZeros(gradients.get(i), node.output(i)));
    }
    needed.forEach(i -> inputs.add(node.input(1 + i)));
    for (int i = firstSaved; i < node.numOutputs(); i++) {
      inputs.add(node.output(i));
    }
    OperationBuilder choice = ops.builder(node.type(), node.input(0));
    choice.addInputList(inputs.toArray(Output<?>[]::new));
    choice.setAttr("Tin", inputs.stream().map(Output::dataType).toArray(DataType[]::new));
    choice.setAttr(
        "Tout",
        differentiated.stream().map(i -> node.input(1 + i).dataType()).toArray(DataType[]::new));
    functions.forEach(choice::setAttr);
    choice.setAttr(ControlFlowGradients.LOWER, isLowered);
    var found = choice.build();
    List<Operand<?>> all = new ArrayList<>(Collections.singletonList(null));
    for (int i = 0; i < node.numInputs() - 1; i++) {
      int position = differentiated.indexOf(i);
      all.add(position < 0 ? null : found.output(position));
    }
    return all;
  }
}
