package dev.performer.graph;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
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

  Set<String> names() {
    return functions.keySet();
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

  /** The functions of this library that these nodes reach, directly or through others. */
  public Set<String> reachedFrom(Collection<NodeDef> nodes) {
    Set<String> reached = new LinkedHashSet<>();
    Deque<NodeDef> todo = new ArrayDeque<>(nodes);
    while (!todo.isEmpty()) {
      for (String name : referencesOf(todo.pop())) {
        if (reached.add(name)) {
          todo.addAll(functions.get(name).getNodeDefList());
        }
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
    functions.values().forEach(function -> new FunctionReferences(function, this).check());
  }
}
