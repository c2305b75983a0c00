package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/**
 * Flattens the graph of a TF2 SavedModel: every call of a function is replaced by the function's
 * body, because TensorFlow's C++ gradients do not see through calls.
 *
 * <p>{@code If} and {@code Case} on a constant become the branch taken; other control flow keeps
 * its functions. Devices and colocation, which belong to the graph the function was traced in, are
 * dropped. Only what the roots need is kept.
 *
 * <p>Three kinds of reference are in play: {@code node}, {@code node:2}, {@code ^node} in the main
 * graph; {@code argument}, {@code node:output:2}, {@code ^node} in a function's body; and those of
 * the flat graph, which are written like the main graph's with names {@code call/inner/node}.
 */
public final class FunctionInliner {
  /** Ops that call the function in their attribute f. */
  public static final Set<String> CALLS = Set.of("PartitionedCall", "StatefulPartitionedCall");

  private final FunctionLibrary library;
  private final Retention retention;
  private final Set<String> mainScopes = new HashSet<>();
  // What became of the expanded calls.
  private final Map<String, List<String>> returned = new HashMap<>();
  private final Map<String, String> finished = new HashMap<>();
  private final Map<String, FunctionCall> callOfNode = new HashMap<>();
  private List<NodeDef> flat;

  /** What a node needs beside its inputs, such as the captures of its custom gradient. */
  public interface Retention {
    /**
     * References that pruning must keep along with the node, resolvable by {@link
     * FlatGraph#resolve}.
     */
    List<String> alsoNeeded(NodeDef node, Optional<FunctionCall> call);
  }

  private FunctionInliner(GraphDef graph, Retention retention) {
    this.library = new FunctionLibrary(graph.getLibrary());
    this.retention = retention;
    for (NodeDef node : graph.getNodeList()) {
      String name = node.getName();
      for (int slash = name.indexOf('/'); slash > 0; slash = name.indexOf('/', slash + 1)) {
        mainScopes.add(name.substring(0, slash));
      }
    }
  }

  /** Flattens what the roots (references of the main graph, {@code ^node} included) need. */
  public static FlatGraph inline(GraphDef graph, Collection<String> roots) {
    return inline(graph, roots, (node, call) -> List.of());
  }

  /**
   * Flattens what the roots need.
   *
   * @param graph the graph with its function library
   * @param roots references of the main graph; control references stand for "the call is finished"
   * @param retention what must survive pruning beside that
   * @throws PerformerException for recursive functions, calls of functions or ops that do not
   *     exist, and references to nothing
   */
  public static FlatGraph inline(GraphDef graph, Collection<String> roots, Retention retention) {
    FunctionInliner inliner = new FunctionInliner(graph, retention);
    return inliner.run(graph, roots);
  }

  private FlatGraph run(GraphDef graph, Collection<String> roots) {
    // First prune, so that the model's save and restore functions are never expanded.
    GraphDef current = GraphPruning.prune(graph, roots, Map.of());
    while (true) {
      GraphSize.check(current, library);
      flat = new ArrayList<>();
      for (NodeDef node : current.getNodeList()) {
        emit(
            node,
            node.getName(),
            node.getInputList(),
            Optional.ofNullable(callOfNode.get(node.getName())));
      }
      List<String> flatRoots = roots.stream().map(this::resolve).toList();
      GraphDef resolved = resolveAll(graph);
      Map<String, List<String>> alsoNeeded = alsoNeeded();
      Optional<GraphDef> chosen = ConstantBranches.choose(resolved);
      current = GraphPruning.prune(chosen.orElse(resolved), flatRoots, alsoNeeded);
      if (chosen.isEmpty()) {
        GraphDef used =
            current.toBuilder().setLibrary(library.usedBy(current.getNodeList())).build();
        return new FlatGraph(used, Map.copyOf(callOfNode), this::resolve);
      }
    }
  }

  private GraphDef resolveAll(GraphDef original) {
    GraphDef.Builder graph = GraphDef.newBuilder().setVersions(original.getVersions());
    for (NodeDef node : flat) {
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
      OpDefinitions.find(whole.getOp())
          .ifPresent(op -> OpDefinitions.checkInputs(whole, op, "the expanded graph"));
      graph.addNode(whole);
    }
    return graph.build();
  }

  private Map<String, List<String>> alsoNeeded() {
    Map<String, List<String>> needed = new HashMap<>();
    for (NodeDef node : flat) {
      List<String> more =
          retention.alsoNeeded(node, Optional.ofNullable(callOfNode.get(node.getName())));
      if (!more.isEmpty()) {
        needed.put(node.getName(), more.stream().map(this::resolve).toList());
      }
    }
    return needed;
  }

  /** Writes a node under a flat name; a call is expanded, as deep as functions are nested. */
  private void emit(NodeDef raw, String name, List<String> inputs, Optional<FunctionCall> caller) {
    NodeDef node =
        caller.map(call -> AttributePlaceholders.fill(raw, call.attributes())).orElse(raw);
    boolean byName = library.find(node.getOp()).isPresent();
    if (byName || CALLS.contains(node.getOp())) {
      expand(node, name, inputs, caller, byName);
      return;
    }
    if (OpDefinitions.find(node.getOp()).isEmpty()) {
      throw new PerformerException(
          "the op " + node.getOp() + " (node " + name + ") is unknown to this TensorFlow");
    }
    add(
        node.toBuilder()
            .setName(name)
            .clearInput()
            .addAllInput(inputs)
            .removeAttr("_class")
            .clearDevice()
            .build(),
        caller);
  }

  private void add(NodeDef node, Optional<FunctionCall> caller) {
    flat.add(node);
    caller.ifPresent(call -> callOfNode.put(node.getName(), call));
  }

  private void expand(
      NodeDef node,
      String name,
      List<String> inputs,
      Optional<FunctionCall> caller,
      boolean byName) {
    String callee = byName ? node.getOp() : node.getAttrOrThrow("f").getFunc().getName();
    FunctionDef function =
        library
            .find(callee)
            .orElseThrow(
                () ->
                    new PerformerException(
                        ("the function %s, which the node %s calls, is not in the graph's"
                                + " library")
                            .formatted(callee, name)));
    Map<String, AttrValue> attributes =
        byName ? node.getAttrMap() : node.getAttrOrThrow("f").getFunc().getAttrMap();
    FunctionCall call = FunctionCall.of(function, freePrefix(name), caller, attributes);
    List<String> wait = bindArguments(call, name, inputs);
    for (NodeDef inner : function.getNodeDefList()) {
      List<String> innerInputs = new ArrayList<>();
      inner.getInputList().forEach(input -> innerInputs.addAll(bodyReference(call, input)));
      innerInputs.addAll(wait);
      emit(inner, call.flatName(inner.getName()), innerInputs, Optional.of(call));
    }
    List<String> results = new ArrayList<>();
    for (ArgDef output : function.getSignature().getOutputArgList()) {
      results.addAll(results(call, output));
    }
    String done = call.flatName("done__");
    add(noOp(done, whenFinished(call, results)), Optional.of(call));
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
  private List<String> bindArguments(FunctionCall call, String name, List<String> inputs) {
    List<String> data = inputs.stream().filter(input -> !TensorNames.isControl(input)).toList();
    List<String> control = inputs.stream().filter(TensorNames::isControl).toList();
    int position = 0;
    for (ArgDef argument : call.definition().getSignature().getInputArgList()) {
      int end = position + OpDefinitions.length(argument, call.attributes());
      if (end > data.size()) {
        throw wrongArguments(call, name, data.size());
      }
      call.arguments().put(argument.getName(), data.subList(position, end));
      position = end;
    }
    if (position != data.size()) {
      throw wrongArguments(call, name, data.size());
    }
    if (control.isEmpty()) {
      return List.of();
    }
    // One gate instead of an edge from each control input to each node of the body.
    String gate = call.flatName("start__");
    add(noOp(gate, control), Optional.of(call));
    return List.of("^" + gate);
  }

  private static PerformerException wrongArguments(FunctionCall call, String name, int given) {
    return new PerformerException(
        "the node %s passes %s arguments to the function %s, which takes another number"
            .formatted(name, given, call.function()));
  }

  private List<String> results(FunctionCall call, ArgDef output) {
    String reference = call.definition().getRetMap().get(output.getName());
    if (reference == null) {
      throw new PerformerException(
          "the function " + call.function() + " does not return its output " + output.getName());
    }
    int length = OpDefinitions.length(output, call.attributes());
    List<String> results = bodyReference(call, reference);
    if (results.size() != length) {
      throw new PerformerException(
          "the function %s returns %s tensors as %s, not %s"
              .formatted(call.function(), results.size(), output.getName(), length));
    }
    return results;
  }

  /** What must have run when the call is over: its side effects and its results. */
  private List<String> whenFinished(FunctionCall call, List<String> results) {
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
  private List<String> bodyReference(FunctionCall call, String reference) {
    if (TensorNames.isControl(reference)) {
      List<String> argument = call.arguments().get(reference.substring(1));
      return argument == null
          ? List.of("^" + call.flatName(reference.substring(1)))
          : argument.stream().map(r -> "^" + TensorNames.node(r)).toList();
    }
    String[] parts = reference.split(":", -1);
    List<String> argument = call.arguments().get(parts[0]);
    if (argument != null) {
      return parts.length == 1
          ? argument
          : List.of(element(argument, TensorNames.index(reference), reference));
    }
    NodeDef node =
        call.nodes()
            .find(parts[0])
            .orElseThrow(
                () ->
                    new PerformerException(
                        "the function %s refers to %s, which it lacks"
                            .formatted(call.function(), reference)));
    String flatName = call.flatName(parts[0]);
    if (parts.length == 1) {
      return List.of(flatName);
    }
    if (parts[1].matches("\\d+")) {
      return List.of(flatName + ":" + parts[1]);
    }
    return outputs(call, AttributePlaceholders.fill(node, call.attributes()), flatName, parts);
  }

  private List<String> outputs(FunctionCall call, NodeDef node, String flatName, String[] parts) {
    OpDef definition =
        library
            .definition(node)
            .orElseThrow(
                () ->
                    new PerformerException(
                        "the op %s (node %s of the function %s) is unknown to this TensorFlow"
                            .formatted(node.getOp(), node.getName(), call.function())));
    int offset = OpDefinitions.outputOffset(node, definition, parts[1]);
    if (parts.length > 2) {
      return List.of(flatName + ":" + (offset + TensorNames.index(":" + parts[2])));
    }
    ArgDef output = OpDefinitions.output(definition, parts[1]).orElseThrow();
    int length = OpDefinitions.length(output, OpDefinitions.withDefaults(node, definition));
    return IntStream.range(offset, offset + length).mapToObj(i -> flatName + ":" + i).toList();
  }

  private static String element(List<String> tensors, int index, String reference) {
    if (index >= tensors.size()) {
      throw new PerformerException("the reference " + reference + " points to no tensor");
    }
    return tensors.get(index);
  }

  /** Follows a reference through expanded calls. */
  private String resolve(String reference) {
    if (TensorNames.isControl(reference)) {
      String node = TensorNames.node(reference);
      return "^" + finished.getOrDefault(node, node);
    }
    // A call may return what another returned: each step is taken once for all references.
    Set<String> passed = new LinkedHashSet<>();
    String target = TensorNames.of(TensorNames.node(reference), TensorNames.index(reference));
    while (returned.containsKey(TensorNames.node(target))) {
      List<String> results = returned.get(TensorNames.node(target));
      int index = TensorNames.index(target);
      if (index >= results.size() || !passed.add(target)) {
        throw new PerformerException(
            "the reference " + reference + " points to no tensor or to itself");
      }
      String result = results.get(index);
      target = TensorNames.of(TensorNames.node(result), TensorNames.index(result));
    }
    for (String step : passed) {
      returned.get(TensorNames.node(step)).set(TensorNames.index(step), target);
    }
    return target;
  }

  private static NodeDef noOp(String name, List<String> control) {
    return NodeDef.newBuilder()
        .setName(name)
        .setOp("NoOp")
        .addAllInput(new LinkedHashSet<>(control))
        .build();
  }
}
