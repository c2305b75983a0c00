package dev.performer.graph;

import static dev.performer.PerformerException.require;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.FunctionDefLibrary;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/** The functions of a GraphDef by name, and who refers to whom. */
public final class FunctionLibrary {
  private final Map<String, FunctionDef> functions = new LinkedHashMap<>();

  public FunctionLibrary(FunctionDefLibrary library) {
    library.getFunctionList().forEach(f -> functions.put(f.getSignature().getName(), f));
  }

  Set<String> names() {
    return functions.keySet();
  }

  public Optional<FunctionDef> find(String name) {
    return Optional.ofNullable(functions.get(name));
  }

  /** What a node runs, which may be a function called by its name; none if neither knows it. */
  Optional<OpDef> definition(NodeDef node) {
    String op = node.getOp();
    return find(op).map(FunctionDef::getSignature).or(() -> OpDefinitions.find(op));
  }

  public Stream<NodeDef> nodesOf(GraphDef graph) {
    var bodies = functions.values().stream().flatMap(f -> f.getNodeDefList().stream());
    return Stream.concat(graph.getNodeList().stream(), bodies);
  }

  /** The functions a node names in its attributes (called, or branches and bodies). */
  public static List<String> attributeFunctions(NodeDef node) {
    List<String> names = new ArrayList<>();
    for (var value : node.getAttrMap().values()) {
      if (value.hasFunc()) {
        names.add(value.getFunc().getName());
      }
      value.getList().getFuncList().forEach(function -> names.add(function.getName()));
    }
    return names;
  }

  List<String> referencesOf(NodeDef node) {
    List<String> names = attributeFunctions(node);
    names.add(node.getOp()); // a function may be called by its name, like an op
    names.removeIf(name -> !functions.containsKey(name));
    return names;
  }

  public Set<String> reachedFrom(Collection<NodeDef> nodes) {
    Set<String> reached = new LinkedHashSet<>();
    var todo = new ArrayDeque<>(nodes);
    while (!todo.isEmpty()) {
      for (String name : referencesOf(todo.pop())) {
        if (reached.add(name)) {
          todo.addAll(functions.get(name).getNodeDefList());
        }
      }
    }
    return reached;
  }

  FunctionDefLibrary usedBy(Collection<NodeDef> nodes) {
    FunctionDefLibrary.Builder used = FunctionDefLibrary.newBuilder();
    reachedFrom(nodes).forEach(name -> used.addFunction(functions.get(name)));
    return used.build();
  }

  /**
   * Checks every reference in every body: TensorFlow follows some of them unchecked, which ends the
   * process. @throws PerformerException naming one that points to nothing
   */
  public void checkReferences() {
    functions.values().forEach(function -> new References(function).check());
  }

  private final class References {
    private final FunctionDef function;
    private final String name;
    private final GraphIndex nodes;
    private final Set<String> arguments = new HashSet<>();

    References(FunctionDef function) {
      this.function = function;
      name = function.getSignature().getName();
      nodes = new GraphIndex(function.getNodeDefList());
      function.getSignature().getInputArgList().forEach(arg -> arguments.add(arg.getName()));
    }

    void check() {
      OpDef signature = function.getSignature();
      boolean areDistinct = arguments.size() == signature.getInputArgCount();
      require(areDistinct, "the function %s has two arguments of one name", name);
      Set<String> names = new HashSet<>(arguments);
      for (NodeDef node : function.getNodeDefList()) {
        String own = node.getName();
        boolean isNew = !own.isEmpty() && names.add(own);
        require(isNew, "the function %s has two nodes named %s, or one without a name", name, own);
        node.getInputList().forEach(this::check);
      }
      for (ArgDef output : signature.getOutputArgList()) {
        String what = output.getName();
        boolean isReturned = function.containsRet(what);
        require(isReturned, "the function %s does not return its output %s", name, what);
      }
      function.getRetMap().values().forEach(this::check);
      function.getControlRetMap().values().forEach(node -> check("^" + node));
    }

    private void check(String reference) {
      boolean isThere = pointsToSomething(reference);
      require(isThere, "the function %s refers to %s, which it lacks", name, reference);
    }

    private boolean pointsToSomething(String reference) {
      boolean isArgument = arguments.contains(TensorNames.node(reference));
      NodeDef node = nodes.find(reference).orElse(null);
      String[] parts = reference.split(":", -1);
      boolean exists = isArgument || node != null;
      if (!exists || TensorNames.isControl(reference) || parts.length == 1) {
        return exists;
      }
      if (parts.length > 3) {
        return false;
      }
      boolean isNumbered = isArgument || parts[1].matches("\\d+");
      int index = isNumbered || parts.length == 3 ? TensorNames.index(reference) : 0;
      Optional<OpDef> definition = isNumbered ? Optional.empty() : definition(node);
      // Nodes of unknown ops are refused where they are needed.
      return definition.isEmpty()
          || definition.get().getOutputArgList().stream()
              .filter(output -> output.getName().equals(parts[1]))
              .anyMatch(output -> index == 0 || isList(output));
    }

    private static boolean isList(ArgDef output) {
      return !output.getNumberAttr().isEmpty() || !output.getTypeListAttr().isEmpty();
    }
  }
}
