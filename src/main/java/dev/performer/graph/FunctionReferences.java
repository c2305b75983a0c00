package dev.performer.graph;

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
  private final FunctionLibrary library;
  private final GraphIndex nodes;
  private final Set<String> arguments = new HashSet<>();

  private FunctionReferences(FunctionDef function, FunctionLibrary library) {
    this.function = function;
    this.library = library;
    nodes = new GraphIndex(function.getNodeDefList());
    function.getSignature().getInputArgList().forEach(arg -> arguments.add(arg.getName()));
  }

  /** Checks a function. @throws PerformerException naming the reference that points to nothing */
  static void check(FunctionDef function, FunctionLibrary library) {
    new FunctionReferences(function, library).check();
  }

  private void check() {
    Set<String> names = new HashSet<>(arguments);
    if (arguments.size() < function.getSignature().getInputArgCount()) {
      throw wrong("has two arguments of one name");
    }
    for (NodeDef node : function.getNodeDefList()) {
      if (!names.add(node.getName()) || node.getName().isEmpty()) {
        throw wrong("has two nodes of the name " + node.getName() + ", or one without a name");
      }
      node.getInputList().forEach(this::check);
    }
    for (ArgDef output : function.getSignature().getOutputArgList()) {
      if (!function.containsRet(output.getName())) {
        throw wrong("does not return its output " + output.getName());
      }
    }
    function.getRetMap().values().forEach(this::check);
    function.getControlRetMap().values().forEach(node -> check("^" + node));
  }

  private void check(String reference) {
    String name = TensorNames.node(reference);
    boolean isArgument = arguments.contains(name);
    Optional<NodeDef> node = nodes.find(name);
    if (!isArgument && node.isEmpty()) {
      throw lacks(reference);
    }
    if (TensorNames.isControl(reference)) {
      return;
    }
    String[] parts = reference.split(":", -1);
    if (parts.length == 3 || parts.length == 2 && (isArgument || isNumber(parts[1]))) {
      TensorNames.index(reference);
    } else if (parts.length > 3) {
      throw lacks(reference);
    }
    if (node.isPresent() && parts.length > 1 && !isNumber(parts[1])) {
      checkOutput(node.get(), parts, reference);
    }
  }

  private void checkOutput(NodeDef node, String[] parts, String reference) {
    Optional<OpDef> definition = library.definition(node);
    if (definition.isEmpty()) {
      return; // such a node is refused where it is needed
    }
    ArgDef output =
        OpDefinitions.output(definition.get(), parts[1]).orElseThrow(() -> lacks(reference));
    boolean isSingle = output.getNumberAttr().isEmpty() && output.getTypeListAttr().isEmpty();
    if (isSingle && parts.length == 3 && TensorNames.index(reference) != 0) {
      throw lacks(reference);
    }
  }

  private static boolean isNumber(String part) {
    return part.matches("\\d+");
  }

  private PerformerException lacks(String reference) {
    return wrong("refers to " + reference + ", which it lacks");
  }

  private PerformerException wrong(String what) {
    return new PerformerException("the function " + function.getSignature().getName() + " " + what);
  }
}
