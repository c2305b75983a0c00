package dev.performer.graph;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.NodeDef;

/**
 * One call that was replaced by the function's body: the body's node {@code x} became {@code
 * prefix/x}.
 */
public final class FunctionCall {
  private final FunctionDef function;
  private final String prefix;
  private final Optional<FunctionCall> caller;
  private final Map<String, AttrValue> attributes;
  private final Map<String, List<String>> arguments = new HashMap<>();
  private final GraphIndex nodes;

  FunctionCall(
      FunctionDef function,
      String prefix,
      Optional<FunctionCall> caller,
      Map<String, AttrValue> attributes) {
    this.function = function;
    this.prefix = prefix;
    this.caller = caller;
    this.attributes = attributes;
    nodes = new GraphIndex(function.getNodeDefList());
  }

  /** The name of the function. */
  public String function() {
    return function.getSignature().getName();
  }

  /** The call in whose body this one stood; none if it stood in the main graph. */
  public Optional<FunctionCall> caller() {
    return caller;
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

  FunctionDef definition() {
    return function;
  }

  String prefix() {
    return prefix;
  }

  Map<String, AttrValue> attributes() {
    return attributes;
  }

  String flatName(String node) {
    return prefix + "/" + node;
  }

  void setArgument(String name, List<String> references) {
    arguments.put(name, references);
  }

  List<String> argument(String name) {
    return arguments.get(name);
  }

  Optional<NodeDef> node(String name) {
    return nodes.find(name);
  }
}
