package dev.performer.graph;

import static dev.performer.PerformerException.require;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef.ArgDef;

/**
 * One call that was replaced by the function's body: the body's node {@code x} became {@code
 * prefix/x}.
 *
 * @param caller the call in whose body this one stood; none if it stood in the main graph
 * @param attributes what the caller passes for the attributes that the body leaves open
 * @param arguments references in the flat graph, by the function's arguments
 */
public record FunctionCall(
    FunctionDef definition,
    String prefix,
    Optional<FunctionCall> caller,
    Map<String, AttrValue> attributes,
    Map<String, List<String>> arguments,
    GraphIndex nodes) {

  public String function() {
    return definition.getSignature().getName();
  }

  /**
   * A tensor of the function as object graphs name it ({@code node:0} or {@code argument:0}), as a
   * reference in the flat graph.
   */
  public String tensor(String name) {
    int index = TensorNames.index(name);
    List<String> argument = arguments.get(TensorNames.node(name));
    return argument == null ? flatName(TensorNames.node(name)) + ":" + index : argument.get(index);
  }

  /** How many tensors stand for an argument or output of the function. */
  int length(ArgDef argument) {
    return OpDefinitions.length(argument, attributes);
  }

  String flatName(String node) {
    return prefix + "/" + node;
  }

  /** A node of a polymorphic body with the caller's values for attributes that it leaves open. */
  NodeDef filled(NodeDef node) {
    return node.toBuilder().putAllAttr(filled(node.getAttrMap(), node)).build();
  }

  private Map<String, AttrValue> filled(Map<String, AttrValue> open, NodeDef node) {
    Map<String, AttrValue> filled = new HashMap<>(open);
    filled.replaceAll((name, value) -> filled(value, node));
    return filled;
  }

  private AttrValue filled(AttrValue value, NodeDef node) {
    if (!value.getPlaceholder().isEmpty()) {
      AttrValue given = attributes.get(value.getPlaceholder());
      String message = "the caller of a function does not give the attribute %s of the node %s";
      require(given != null, message, value.getPlaceholder(), node.getName());
      return given;
    }
    if (!value.hasFunc() && value.getList().getFuncCount() == 0) {
      return value;
    }
    AttrValue.Builder filled = value.toBuilder();
    if (value.hasFunc()) {
      fill(filled.getFuncBuilder(), node);
    } else {
      filled.getListBuilder().getFuncBuilderList().forEach(function -> fill(function, node));
    }
    return filled.build();
  }

  private void fill(NameAttrList.Builder function, NodeDef node) {
    function.putAllAttr(filled(function.getAttrMap(), node));
  }
}
