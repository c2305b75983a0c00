package dev.performer.graph;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;

/**
 * One call that was replaced by the function's body: the body's node {@code x} became {@code
 * prefix/x}.
 *
 * @param definition the function
 * @param caller the call in whose body this one stood; none if it stood in the main graph
 * @param attributes what the caller passes for the attributes that the body leaves open
 * @param arguments references in the flat graph, by the function's arguments
 * @param nodes of the function's body
 */
public record FunctionCall(
    FunctionDef definition,
    String prefix,
    Optional<FunctionCall> caller,
    Map<String, AttrValue> attributes,
    Map<String, List<String>> arguments,
    GraphIndex nodes) {

  /** A call whose arguments are still to be bound. */
  static FunctionCall of(
      FunctionDef function,
      String prefix,
      Optional<FunctionCall> caller,
      Map<String, AttrValue> attributes) {
    GraphIndex nodes = new GraphIndex(function.getNodeDefList());
    return new FunctionCall(function, prefix, caller, attributes, new HashMap<>(), nodes);
  }

  /** The name of the function. */
  public String function() {
    return definition.getSignature().getName();
  }

  /**
   * A tensor of the function as object graphs name it ({@code node:0} or {@code argument:0}), as a
   * reference in the flat graph.
   */
  public String tensor(String name) {
    List<String> argument = arguments.get(TensorNames.node(name));
    return argument != null
        ? argument.get(TensorNames.index(name))
        : flatName(TensorNames.node(name)) + ":" + TensorNames.index(name);
  }

  String flatName(String node) {
    return prefix + "/" + node;
  }
}
