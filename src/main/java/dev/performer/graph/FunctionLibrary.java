package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static java.util.stream.Collectors.toCollection;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.FunctionDefLibrary;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;

/** The functions of a GraphDef by name, and who refers to whom. */
public final class FunctionLibrary {
  private final Map<String, FunctionDef> functions = new LinkedHashMap<>();

  public FunctionLibrary(FunctionDefLibrary library) {
    library.getFunctionList().forEach(f -> functions.put(f.getSignature().getName(), f));
  }

  /** The function of that name. */
  public Optional<FunctionDef> find(String name) {
    return Optional.ofNullable(functions.get(name));
  }

  /** What a node runs, which may be a function called by its name; none if neither knows it. */
  Optional<OpDef> definition(NodeDef node) {
    return find(node.getOp())
        .map(FunctionDef::getSignature)
        .or(() -> OpDefinitions.find(node.getOp()));
  }

  /** The nodes of the graph with this library and of all its functions. */
  public Stream<NodeDef> nodesOf(GraphDef graph) {
    return Stream.concat(
        graph.getNodeList().stream(),
        functions.values().stream().flatMap(function -> function.getNodeDefList().stream()));
  }

  /** The functions a node names in its attributes (called, or branches and bodies). */
  public static List<String> attributeFunctions(NodeDef node) {
    List<String> names = new ArrayList<>();
    for (AttrValue value : node.getAttrMap().values()) {
      if (value.hasFunc()) {
        names.add(value.getFunc().getName());
      }
      value.getList().getFuncList().forEach(function -> names.add(function.getName()));
    }
    return names;
  }

  /** The functions of this library that a node calls, or has as branches or bodies. */
  List<String> referencesOf(NodeDef node) {
    List<String> names = attributeFunctions(node);
    names.add(node.getOp()); // a function may be called by its name, like an op
    names.removeIf(name -> !functions.containsKey(name));
    return names;
  }

  private Set<String> referencesOf(Collection<NodeDef> nodes) {
    return nodes.stream()
        .flatMap(node -> referencesOf(node).stream())
        .collect(toCollection(LinkedHashSet::new));
  }

  /** The functions of this library that these nodes reach, directly or through others. */
  public Set<String> reachedFrom(Collection<NodeDef> nodes) {
    Set<String> reached = new LinkedHashSet<>();
    Deque<String> todo = new ArrayDeque<>(referencesOf(nodes));
    while (!todo.isEmpty()) {
      String name = todo.pop();
      if (reached.add(name)) {
        todo.addAll(referencesOf(functions.get(name).getNodeDefList()));
      }
    }
    return reached;
  }

  /** The part of this library that these nodes reach. */
  FunctionDefLibrary usedBy(Collection<NodeDef> nodes) {
    FunctionDefLibrary.Builder used = FunctionDefLibrary.newBuilder();
    reachedFrom(nodes).forEach(name -> used.addFunction(functions.get(name)));
    return used.build();
  }

  /** Checks every reference in every body. @throws PerformerException naming one to nothing */
  public void checkReferences() {
    functions.values().forEach(function -> FunctionReferences.check(function, this));
  }

  /**
   * Names of all functions, each after those that it refers to.
   *
   * @throws PerformerException if a function reaches itself, naming those on the cycles: TensorFlow
   *     overflows the stack on it and takes the JVM along
   */
  List<String> calleesFirst() {
    Map<String, Set<String>> callees = new LinkedHashMap<>();
    Map<String, Set<String>> callers = new HashMap<>();
    functions.forEach((name, f) -> callees.put(name, referencesOf(f.getNodeDefList())));
    callees.forEach(
        (name, called) ->
            called.forEach(
                callee -> callers.computeIfAbsent(callee, k -> new LinkedHashSet<>()).add(name)));
    // Peel off functions that call nothing any more; what stays is on, or calls into, a cycle.
    List<String> order = new ArrayList<>(callees.keySet());
    order.removeIf(name -> !callees.get(name).isEmpty());
    for (int i = 0; i < order.size(); i++) {
      String leaf = order.get(i);
      callees.remove(leaf);
      for (String caller : callers.getOrDefault(leaf, Set.of())) {
        callees.get(caller).remove(leaf);
        if (callees.get(caller).isEmpty()) {
          order.add(caller);
        }
      }
    }
    require(
        callees.isEmpty(),
        "the graph has recursive functions, which TensorFlow cannot run: %s",
        Excerpt.names(new TreeSet<>(callees.keySet())));
    return order;
  }
}
