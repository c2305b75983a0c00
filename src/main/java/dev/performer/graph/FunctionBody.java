package dev.performer.graph;

import static dev.performer.graph.FunctionGraph.argument;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;

/**
 * The body of a loop or a branch, made ready for gradients: flat, and given the values of variables
 * that it only reads, so that their gradients are those of ordinary arguments.
 */
final class FunctionBody {
  private static final Set<String> PASSED_ON = Set.of("Identity");
  private final ControlFlowGradients context;
  private final FunctionGraph source;
  private final GradientRewrites rewrites;
  private final Map<Integer, DataType> read = new LinkedHashMap<>();
  private final Set<Integer> changed = new HashSet<>();
  private final List<String> stillRead = new ArrayList<>();
  private final List<DataType> types;
  private final List<String> results;
  private List<NodeDef> nodes;
  private GraphIndex index;

  /**
   * @param handles nodes that give those arguments which are resources
   */
  FunctionBody(
      ControlFlowGradients context,
      NameAttrList function,
      List<DataType> types,
      Map<Integer, NodeDef> handles) {
    this.context = context;
    this.types = new ArrayList<>(types);
    source =
        FunctionGraph.of(context.library(), function, types, handles, context.own()::alsoNeeded);
    rewrites = new GradientRewrites(source.flat(), source.flat().graph(), context);
    results = new ArrayList<>(source.results());
    setNodes(rewrites.graph().getNodeList());
    findVariables();
  }

  private void setNodes(List<NodeDef> nodes) {
    this.nodes = nodes;
    index = new GraphIndex(nodes);
  }

  /** Types of the values of variables that are read, by argument. */
  Map<Integer, DataType> read() {
    return read;
  }

  List<DataType> types() {
    return types;
  }

  List<String> results() {
    return results;
  }

  private void findVariables() {
    for (NodeDef node : nodes) {
      for (String input : GraphIndex.dataInputs(node)) {
        int argument = argumentOf(input);
        if (argument >= 0 && types.get(argument) == DataType.DT_RESOURCE) {
          if (!isRead(node)) {
            changed.add(argument);
          } else if (node.containsAttr("dtype")) {
            read.put(argument, node.getAttrOrThrow("dtype").getType());
          }
        }
      }
    }
  }

  private boolean isRead(NodeDef node) {
    return VariableReads.leaveAsItIs(node)
        || context.isControlFlow(node) && !context.changesVariables(node);
  }

  /** Which argument a reference passes on; −1 for none. */
  int argumentOf(String reference) {
    String from = index.source(reference, PASSED_ON);
    return from.startsWith("argument") && !from.contains("/") ? index(from) : -1;
  }

  private static int index(String argument) {
    return Integer.parseInt(TensorNames.node(argument).substring("argument".length()));
  }

  /**
   * Adds an argument for each variable's value, which takes the place of reads, or, where the body
   * also changes the variable, of their gradients.
   *
   * @throws Refusal if the body changes a variable whose rows it looks up
   */
  void readBefore(Map<Integer, DataType> variables) {
    Map<Integer, String> values = new HashMap<>();
    List<NodeDef> all = new ArrayList<>();
    variables.forEach(
        (variable, type) -> {
          String value = argument(types.size());
          types.add(type);
          values.put(variable, value);
          all.add(node(value, "Placeholder").putAttr("dtype", type(type)).build());
        });
    for (NodeDef node : nodes) {
      int variable = VariableReads.isRead(node) ? argumentOf(node.getInput(0)) : -1;
      String value = values.get(variable);
      boolean isShape = node.getOp().equals("VariableShape");
      if (value == null || isShape && changed.contains(variable)) {
        all.add(node);
      } else if (changed.contains(variable)) {
        all.addAll(stillRead(node, value));
      } else {
        all.addAll(VariableReads.ofValue(node, value, type(types.get(index(value)))));
      }
    }
    setNodes(all);
  }

  /** What is read now, with the gradient of the value before. */
  private List<NodeDef> stillRead(NodeDef read, String value) {
    if (!read.getOp().equals("ReadVariableOp")) {
      String reason = "its variable is changed in the same loop or branch";
      throw new Refusal(Refusal.obstacle(read, source.flat(), reason));
    }
    AttrValue type = read.getAttrOrThrow("dtype");
    String now = read.getName() + "/now";
    String stopped = read.getName() + "/stopped";
    stillRead.add(read.getName());
    var types = GraphProtos.types(Collections.nCopies(2, type.getType()));
    return List.of(
        read.toBuilder().setName(now).build(),
        node(stopped, "StopGradient", now).putAttr("T", type).build(),
        node(read.getName(), "IdentityN", stopped, value).putAttr("T", types).build());
  }

  DataType typeOf(String result) {
    return OpDefinitions.outputTypes(index.require(result, "a result"))
        .get(TensorNames.index(result));
  }

  /** Arguments that can have a gradient: numbers, and lists but those known to hold no numbers. */
  List<Integer> differentiable() {
    var all = IntStream.range(0, types.size()).boxed();
    return all.filter(i -> isNumber(types.get(i)) && !isListOfIntegers(i)).toList();
  }

  static boolean isNumber(DataType type) {
    return type != DataType.DT_RESOURCE && LossGradients.isDifferentiable(type);
  }

  private boolean isListOfIntegers(int argument) {
    if (types.get(argument) != DataType.DT_VARIANT) {
      return false;
    }
    List<DataType> elements = new ArrayList<>();
    for (NodeDef node : nodes) {
      var inputs = GraphIndex.dataInputs(node).stream();
      if (node.containsAttr("element_dtype") && inputs.anyMatch(i -> argumentOf(i) == argument)) {
        elements.add(node.getAttrOrThrow("element_dtype").getType());
      }
    }
    return !elements.isEmpty() && elements.stream().noneMatch(LossGradients::isDifferentiable);
  }

  /**
   * The gradient of a body as nodes: forward pass and gradient in one, as far as needed.
   *
   * @param nodes among them placeholders, for arguments, for {@code gradient<i>} of result i and
   *     for {@code saved<i>}
   * @param ofArguments references to the gradients, by argument
   * @param needed arguments that the nodes use
   * @param saved references in the forward body to what cannot be computed again
   */
  record Gradient(
      List<NodeDef> nodes,
      Map<Integer, String> ofArguments,
      Set<Integer> needed,
      List<String> saved) {}

  static String upstream(int result) {
    return "gradient" + result;
  }

  static String saved(int i) {
    return "saved" + i;
  }

  /**
   * @throws Refusal naming the op without a gradient
   */
  Gradient gradient(List<Integer> arguments, List<Integer> ofResults) {
    Map<Integer, String> found = new LinkedHashMap<>();
    List<NodeDef> all = new ArrayList<>();
    try (Graph graph = new Graph()) {
      try {
        found.putAll(build(graph, arguments, ofResults));
      } finally {
        LossGradients.detach(graph);
      }
      GraphDef whole = graph.toGraphDef();
      context.add(whole.getLibrary());
      all.addAll(whole.getNodeList());
    }
    for (int i : arguments) {
      if (!found.containsKey(i)) {
        String zeros = "zeros" + i;
        all.add(node(zeros, "ZerosLike", argument(i)).putAttr("T", type(types.get(i))).build());
        found.put(i, zeros);
      }
    }
    return cut(new GraphIndex(all), found);
  }

  private Map<Integer, String> build(
      Graph graph, List<Integer> arguments, List<Integer> ofResults) {
    GraphDef.Builder whole = GraphDef.newBuilder().addAllNode(nodes);
    whole.setLibrary(context.usedBy(nodes));
    for (int i : ofResults) {
      AttrValue type = type(typeOf(results.get(i)));
      whole.addNode(node(upstream(i), "Placeholder").putAttr("dtype", type));
      whole.addNode(node("result" + i, "Identity", results.get(i)).putAttr("T", type));
    }
    graph.importGraphDef(whole.build());
    rewrites.attach(graph);
    RawCustomGradient ofValue = (tf, node, dy) -> List.of(dy.get(0), dy.get(0));
    stillRead.forEach(node -> LossGradients.attach(graph, node, ofValue));
    context.own().attach(graph, source.flat());
    var from = ofResults.stream().map(results::get).toList();
    Set<String> reached = index.reached(from, GraphIndex::dataInputs);
    List<Integer> reachable =
        arguments.stream().filter(i -> reached.contains(argument(i))).toList();
    Map<Integer, String> found = new HashMap<>();
    if (!reachable.isEmpty()) {
      Output<?>[] gradients = gradients(graph, reachable, ofResults);
      for (int i = 0; i < gradients.length; i++) {
        if (RawOps.isPresent(gradients[i])) {
          String name = gradients[i].op().name();
          found.put(reachable.get(i), TensorNames.of(name, gradients[i].index()));
        }
      }
    }
    return found;
  }

  private Output<?>[] gradients(Graph graph, List<Integer> arguments, List<Integer> ofResults) {
    try {
      return graph.addGradients(
          "backward",
          outputs(graph, ofResults.stream().map(i -> "result" + i).toList()),
          outputs(graph, arguments.stream().map(FunctionGraph::argument).toList()),
          outputs(graph, ofResults.stream().map(FunctionBody::upstream).toList()));
    } catch (Refusal refusal) {
      throw refusal.in(source.flat());
    }
  }

  private static Output<?>[] outputs(Graph graph, List<String> names) {
    return names.stream().map(graph::outputOrThrow).toArray(Output<?>[]::new);
  }

  /** What the gradients need; where state would be used again, its first result is kept instead. */
  private Gradient cut(GraphIndex all, Map<Integer, String> found) {
    Set<String> reached =
        all.reached(found.values(), node -> isKept(node) ? List.of() : GraphIndex.dataInputs(node));
    Map<String, String> saved = new LinkedHashMap<>();
    List<NodeDef> needed = new ArrayList<>();
    for (String name : reached) {
      NodeDef node = all.require(name, name);
      if (!isKept(node)) {
        NodeDef.Builder copy = node.toBuilder().clearInput().clearDevice().removeAttr("_class");
        GraphIndex.dataInputs(node).forEach(in -> copy.addInput(instead(in, all, saved)));
        needed.add(copy.build());
      }
    }
    found.replaceAll((i, gradient) -> instead(gradient, all, saved));
    saved.forEach(
        (reference, placeholder) ->
            needed.add(
                node(placeholder, "Placeholder")
                    .putAttr("dtype", type(typeOf(reference)))
                    .build()));
    Set<Integer> arguments = new LinkedHashSet<>();
    for (int i = 0; i < types.size(); i++) {
      if (reached.contains(argument(i)) && types.get(i) != DataType.DT_RESOURCE) {
        arguments.add(i);
      }
    }
    return new Gradient(needed, found, arguments, List.copyOf(saved.keySet()));
  }

  private boolean isKept(NodeDef node) {
    boolean isForward = index.find(node.getName()).isPresent();
    return isForward
        && !node.getOp().equals("Placeholder")
        && context.isStateful(node)
        && OpDefinitions.outputTypes(node).stream().anyMatch(t -> t != DataType.DT_RESOURCE);
  }

  private String instead(String reference, GraphIndex all, Map<String, String> saved) {
    return isKept(all.require(reference, reference))
        ? saved.computeIfAbsent(TensorNames.shortest(reference), r -> saved(saved.size()))
        : reference;
  }

  /** A handle is no argument but stands in the body: a number takes its place. */
  static Map<String, DataType> arguments(List<DataType> types) {
    Map<String, DataType> all = new LinkedHashMap<>();
    for (int i = 0; i < types.size(); i++) {
      boolean isHandle = types.get(i) == DataType.DT_RESOURCE;
      all.put(isHandle ? unused(i) : argument(i), withoutHandle(types.get(i)));
    }
    return all;
  }

  static DataType withoutHandle(DataType type) {
    return type == DataType.DT_RESOURCE ? DataType.DT_INT32 : type;
  }

  private static String unused(int argument) {
    return "unused" + argument;
  }

  /** The forward pass as a function of its arguments, with more nodes, arguments and results. */
  FunctionDef function(
      String name,
      Map<String, DataType> moreArguments,
      Collection<NodeDef> more,
      List<String> moreResults) {
    Map<String, DataType> all = new LinkedHashMap<>(arguments(types));
    all.putAll(moreArguments);
    List<NodeDef> body = new ArrayList<>(nodes);
    body.addAll(more);
    List<String> returned = new ArrayList<>();
    for (String result : results) {
      int argument = argumentOf(result);
      boolean isHandle = argument >= 0 && types.get(argument) == DataType.DT_RESOURCE;
      returned.add(isHandle ? unused(argument) : result);
    }
    returned.addAll(moreResults);
    var finished = List.of(TensorNames.node(source.finished()));
    return FunctionGraph.function(name, all, body, returned, finished);
  }
}
