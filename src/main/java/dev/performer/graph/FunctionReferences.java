package dev.performer.graph;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/**
 * Whether every reference in a function's body points to something: TensorFlow follows some of them
 * unchecked, which ends the process.
 */
final class FunctionReferences {
  private final FunctionDef function;
  private final String name;
  private final FunctionLibrary library;
  private final GraphIndex nodes;
  private final Set<String> arguments = new HashSet<>();

  FunctionReferences(FunctionDef function, FunctionLibrary library) {
    this.function = function;
    name = function.getSignature().getName();
    this.library = library;
    nodes = new GraphIndex(function.getNodeDefList());
    function.getSignature().getInputArgList().forEach(arg -> arguments.add(arg.getName()));
  }

  /**
   * @throws PerformerException naming the reference that points to nothing
   */
  void check() {
    Set<String> names = new HashSet<>(arguments);
    OpDef signature = function.getSignature();
    boolean areDistinct = arguments.size() == signature.getInputArgCount();
    require(areDistinct, "the function %s has two arguments of one name", name);
    for (NodeDef node : function.getNodeDefList()) {
      String own = node.getName();
      boolean isNew = !own.isEmpty() && names.add(own);
      require(isNew, "the function %s has two nodes named %s, or one without a name", name, own);
      node.getInputList().forEach(this::check);
    }
    for (ArgDef output : signature.getOutputArgList()) {
      boolean isReturned = function.containsRet(output.getName());
      String what = output.getName();
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
    Optional<OpDef> definition = isNumbered ? Optional.empty() : library.definition(node);
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
