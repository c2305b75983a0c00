package dev.performer.graph;

import static dev.performer.PerformerException.require;

import dev.performer.graph.FlatGraph.Call;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/**
 * Flattens the graph of a TF2 SavedModel: every call of a function is replaced by the function's
 * body, because TensorFlow's C++ gradients do not see through calls.
 *
 * <p>{@code If} and {@code Case} on a constant become the branch taken; other control flow keeps
 * its functions. Devices and colocation, which belong to the graph of the trace, are dropped.
 *
 * <p>Three kinds of reference are in play: {@code node}, {@code node:2}, {@code ^node} in the main
 * graph; {@code argument}, {@code node:output:2}, {@code ^node} in a function's body; and those of
 * the flat graph, which are written like the main graph's with names {@code call/inner/node}.
 */
public final class FunctionInliner {
  public static final Set<String> CALLS = Set.of("PartitionedCall", "StatefulPartitionedCall");

  private final FunctionLibrary library;
  private final BiFunction<NodeDef, Optional<Call>, List<String>> retention;
  private final Set<String> mainScopes = new HashSet<>();
  // What became of the expanded calls.
  private final Map<String, List<String>> returned = new HashMap<>();
  private final Map<String, String> finished = new HashMap<>();
  private final Map<String, Call> callOfNode = new HashMap<>();
  private final List<NodeDef> flat = new ArrayList<>();

  private FunctionInliner(
      GraphDef graph, BiFunction<NodeDef, Optional<Call>, List<String>> retention) {
    this.library = new FunctionLibrary(graph.getLibrary());
    this.retention = retention;
    for (NodeDef node : graph.getNodeList()) {
      String name = node.getName();
      for (int slash = name.indexOf('/'); slash > 0; slash = name.indexOf('/', slash + 1)) {
        mainScopes.add(name.substring(0, slash));
      }
    }
  }

  public static FlatGraph inline(GraphDef graph, Collection<String> roots) {
    return inline(graph, roots, (node, call) -> List.of());
  }

  /**
   * Flattens what the roots need; those that are control references stand for "the call is
   * finished". Retention is what must survive with a node, such as the captures of its custom
   * gradient.
   */
  public static FlatGraph inline(
      GraphDef graph,
      Collection<String> roots,
      BiFunction<NodeDef, Optional<Call>, List<String>> retention) {
    return new FunctionInliner(graph, retention).run(graph, roots);
  }

  private FlatGraph run(GraphDef graph, Collection<String> roots) {
    // First prune, so that the model's save and restore functions are never expanded.
    GraphDef current = prune(graph, roots, node -> List.of());
    while (true) {
      GraphSize.check(current, library);
      flat.clear();
      for (NodeDef node : current.getNodeList()) {
        emit(node, node.getName(), node.getInputList(), callOf(node));
      }
      GraphDef.Builder resolved = GraphDef.newBuilder().setVersions(graph.getVersions());
      flat.forEach(node -> resolved.addNode(resolve(node)));
      Optional<GraphDef> chosen = ConstantBranches.choose(resolved.build());
      GraphDef next = chosen.orElseGet(resolved::build);
      current = prune(next, resolve(roots), n -> resolve(retention.apply(n, callOf(n))));
      if (chosen.isEmpty()) {
        var used = library.usedBy(current.getNodeList());
        GraphDef whole = current.toBuilder().setLibrary(used).build();
        return new FlatGraph(whole, Map.copyOf(callOfNode), this::resolve);
      }
    }
  }

  private static GraphDef prune(
      GraphDef graph, Collection<String> roots, Function<NodeDef, List<String>> alsoNeeded) {
    GraphIndex index = new GraphIndex(graph.getNodeList());
    roots.forEach(root -> index.require(root, "an output"));
    Set<String> reached =
        index.reached(
            roots,
            node -> {
              List<String> needed = new ArrayList<>(node.getInputList());
              needed.addAll(alsoNeeded.apply(node));
              needed.forEach(input -> index.require(input, node.getName()));
              return needed;
            });
    var kept = graph.getNodeList().stream().filter(node -> reached.contains(node.getName()));
    return graph.toBuilder().clearNode().addAllNode(kept.toList()).build();
  }

  private Optional<Call> callOf(NodeDef node) {
    return Optional.ofNullable(callOfNode.get(node.getName()));
  }

  /** Writes a node under a flat name; a call is expanded, as deep as functions are nested. */
  private void emit(NodeDef raw, String name, List<String> inputs, Optional<Call> caller) {
    NodeDef node = caller.map(call -> call.filled(raw)).orElse(raw);
    Optional<FunctionDef> byName = library.find(node.getOp());
    if (byName.isPresent()) {
      expand(byName.get(), node.getAttrMap(), name, inputs, caller);
    } else if (CALLS.contains(node.getOp())) {
      NameAttrList f = node.getAttrOrThrow("f").getFunc();
      Optional<FunctionDef> function = library.find(f.getName());
      boolean isKnown = function.isPresent();
      require(isKnown, "the node %s calls no known function: %s", name, f.getName());
      expand(function.get(), f.getAttrMap(), name, inputs, caller);
    } else {
      definition(node, name);
      NodeDef.Builder free = node.toBuilder().setName(name).clearDevice().removeAttr("_class");
      add(free.clearInput().addAllInput(inputs).build(), caller);
    }
  }

  private OpDef definition(NodeDef node, String name) {
    Optional<OpDef> definition = library.definition(node);
    String message = "the op %s (node %s) is unknown to this TensorFlow";
    require(definition.isPresent(), message, node.getOp(), name);
    return definition.get();
  }

  private void add(NodeDef node, Optional<Call> caller) {
    flat.add(node);
    caller.ifPresent(call -> callOfNode.put(node.getName(), call));
  }

  private void addNoOp(String name, Collection<String> control, Call call) {
    var inputs = new LinkedHashSet<>(control);
    add(GraphProtos.node(name, "NoOp").addAllInput(inputs).build(), Optional.of(call));
  }

  private void expand(
      FunctionDef function,
      Map<String, AttrValue> attributes,
      String name,
      List<String> inputs,
      Optional<Call> caller) {
    String prefix = freePrefix(name);
    GraphIndex body = new GraphIndex(function.getNodeDefList());
    var call = new Call(function, prefix, caller, attributes, new HashMap<>(), body);
    List<String> wait = bindArguments(call, name, inputs);
    for (NodeDef inner : function.getNodeDefList()) {
      List<String> innerInputs = new ArrayList<>();
      inner.getInputList().forEach(input -> innerInputs.addAll(bodyReference(call, input)));
      innerInputs.addAll(wait);
      emit(inner, call.flatName(inner.getName()), innerInputs, Optional.of(call));
    }
    List<String> results = new ArrayList<>();
    for (ArgDef output : function.getSignature().getOutputArgList()) {
      List<String> tensors = bodyReference(call, function.getRetOrThrow(output.getName()));
      boolean isWhole = tensors.size() == call.length(output);
      String mismatch = "the function %s returns another number of tensors as %s than it declares";
      require(isWhole, mismatch, call.function(), output.getName());
      results.addAll(tensors);
    }
    String done = call.flatName("done__");
    addNoOp(done, whenFinished(call, results), call);
    returned.put(name, results);
    finished.put(name, done);
  }

  /** A call's own name, unless the main graph already has nodes below it. */
  private String freePrefix(String name) {
    String prefix = name;
    for (int i = 1; mainScopes.contains(prefix); i++) {
      prefix = name + "_call" + i;
    }
    return prefix;
  }

  /** Gives the function's arguments their references; returns what its body must wait for. */
  private List<String> bindArguments(Call call, String name, List<String> inputs) {
    List<String> data = inputs.stream().filter(input -> !TensorNames.isControl(input)).toList();
    List<String> control = inputs.stream().filter(TensorNames::isControl).toList();
    List<ArgDef> arguments = call.definition().getSignature().getInputArgList();
    long taken = arguments.stream().mapToLong(call::length).sum();
    String mismatch = "the node %s passes %s arguments to the function %s, which takes %s";
    require(taken == data.size(), mismatch, name, data.size(), call.function(), taken);
    int position = 0;
    for (ArgDef argument : arguments) {
      int end = position + call.length(argument);
      call.arguments().put(argument.getName(), data.subList(position, end));
      position = end;
    }
    if (control.isEmpty()) {
      return List.of();
    }
    // One gate instead of an edge from each control input to each node of the body.
    String gate = call.flatName("start__");
    addNoOp(gate, control, call);
    return List.of("^" + gate);
  }

  /** What must have run when the call is over: its side effects and its results. */
  private List<String> whenFinished(Call call, List<String> results) {
    List<String> done = new ArrayList<>();
    FunctionDef function = call.definition();
    function.getControlRetMap().values().forEach(node -> done.add("^" + call.flatName(node)));
    if (function.getControlRetCount() == 0) { // older functions: every stateful op runs
      for (NodeDef node : function.getNodeDefList()) {
        if (OpDefinitions.find(node.getOp()).map(OpDef::getIsStateful).orElse(true)) {
          done.add("^" + call.flatName(node.getName()));
        }
      }
    }
    results.forEach(result -> done.add("^" + TensorNames.node(result)));
    return done;
  }

  /** A reference of a function's body as references of the flat graph, calls not yet resolved. */
  private List<String> bodyReference(Call call, String reference) {
    String[] parts = reference.split(":", -1);
    if (TensorNames.isControl(reference)) {
      String node = reference.substring(1);
      var argument = call.arguments().getOrDefault(node, List.of(call.flatName(node)));
      return argument.stream().map(r -> "^" + TensorNames.node(r)).toList();
    }
    String flatName = call.flatName(parts[0]);
    List<String> argument = call.arguments().get(parts[0]);
    if (argument != null) {
      return parts.length == 1 ? argument : List.of(element(argument, reference));
    }
    NodeDef node = call.nodes().require(parts[0], "the function " + call.function());
    if (parts.length == 1) {
      return List.of(flatName);
    }
    if (parts[1].matches("\\d+")) {
      return List.of(flatName + ":" + parts[1]);
    }
    NodeDef filled = call.filled(node);
    var numbers = OpDefinitions.outputs(filled, definition(filled, flatName), parts[1]);
    List<String> outputs = numbers.mapToObj(i -> flatName + ":" + i).toList();
    return parts.length == 2 ? outputs : List.of(element(outputs, reference));
  }

  private static String element(List<String> tensors, String reference) {
    int index = TensorNames.index(reference);
    require(index < tensors.size(), "the reference %s points to no tensor", reference);
    return tensors.get(index);
  }

  private NodeDef resolve(NodeDef node) {
    NodeDef.Builder resolved = node.toBuilder().clearInput();
    // Control inputs must come last, and once each.
    Set<String> control = new LinkedHashSet<>();
    for (String input : node.getInputList()) {
      String target = resolve(input);
      if (TensorNames.isControl(target)) {
        control.add(target);
      } else {
        resolved.addInput(target);
      }
    }
    NodeDef whole = resolved.addAllInput(control).build();
    var op = OpDefinitions.find(whole.getOp());
    op.ifPresent(known -> OpDefinitions.checkInputs(whole, known, "the expanded graph"));
    return whole;
  }

  private List<String> resolve(Collection<String> references) {
    return references.stream().map(this::resolve).toList();
  }

  private String resolve(String reference) {
    if (TensorNames.isControl(reference)) {
      String node = TensorNames.node(reference);
      return "^" + finished.getOrDefault(node, node);
    }
    // A call may return what another returned: each step is taken once for all references.
    Set<String> passed = new LinkedHashSet<>();
    String target = TensorNames.shortest(reference);
    while (returned.containsKey(TensorNames.node(target))) {
      List<String> results = returned.get(TensorNames.node(target));
      int index = TensorNames.index(target);
      boolean isNew = index < results.size() && passed.add(target);
      require(isNew, "the reference %s points to no tensor or to itself", reference);
      target = TensorNames.shortest(results.get(index));
    }
    for (String step : passed) {
      returned.get(TensorNames.node(step)).set(TensorNames.index(step), target);
    }
    return target;
  }

  /** Replaces {@code If} and {@code Case} on a constant by a call of the branch taken. */
  private static final class ConstantBranches {
    /** The graph with its constant branches chosen; none if it has no constant branch. */
    static Optional<GraphDef> choose(GraphDef graph) {
      GraphIndex index = new GraphIndex(graph.getNodeList());
      GraphDef.Builder chosen = graph.toBuilder().clearNode();
      boolean any = false;
      for (NodeDef node : graph.getNodeList()) {
        Optional<NameAttrList> branch = branchTaken(node, index);
        any |= branch.isPresent();
        chosen.addNode(branch.map(function -> call(node, function)).orElse(node));
      }
      return any ? Optional.of(chosen.build()) : Optional.empty();
    }

    private static Optional<NameAttrList> branchTaken(NodeDef node, GraphIndex index) {
      return switch (node.getOp()) {
        case "If", "StatelessIf" ->
            decision(node, index)
                .map(value -> value != 0 ? "then_branch" : "else_branch")
                .map(branch -> node.getAttrOrThrow(branch).getFunc());
        case "Case", "StatelessCase" -> {
          List<NameAttrList> branches = node.getAttrOrThrow("branches").getList().getFuncList();
          long last = branches.size() - 1L; // runs, too, for an index that is out of range
          yield decision(node, index)
              .map(value -> branches.get((int) (value < 0 || value > last ? last : value)));
        }
        default -> Optional.empty();
      };
    }

    /** Of other shapes than scalars "not empty" decides: rare, and left to TensorFlow. */
    private static Optional<Long> decision(NodeDef node, GraphIndex index) {
      return index.integer(index.source(node.getInput(0), Set.of("Identity")));
    }

    private static NodeDef call(NodeDef branching, NameAttrList branch) {
      var call = GraphProtos.node(branching.getName(), "StatefulPartitionedCall");
      call.addAllInput(branching.getInputList().subList(1, branching.getInputCount()));
      call.putAttr("f", AttrValue.newBuilder().setFunc(branch).build());
      call.putAttr("Tin", branching.getAttrOrThrow("Tin"));
      return call.putAttr("Tout", branching.getAttrOrThrow("Tout")).build();
    }
  }
}
