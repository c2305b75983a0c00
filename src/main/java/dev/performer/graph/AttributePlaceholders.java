package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.Map;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;

/** Polymorphic functions: attributes that the body leaves open take the caller's values. */
final class AttributePlaceholders {
  private AttributePlaceholders() {}

  /** The node with its placeholders filled. @throws PerformerException if one has no value */
  static NodeDef fill(NodeDef node, Map<String, AttrValue> values) {
    NodeDef.Builder filled = null;
    for (Map.Entry<String, AttrValue> entry : node.getAttrMap().entrySet()) {
      AttrValue value = fill(entry.getValue(), values, node);
      if (value != entry.getValue()) {
        filled = filled == null ? node.toBuilder() : filled;
        filled.putAttr(entry.getKey(), value);
      }
    }
    return filled == null ? node : filled.build();
  }

  private static AttrValue fill(AttrValue value, Map<String, AttrValue> values, NodeDef node) {
    if (!value.getPlaceholder().isEmpty()) {
      AttrValue given = values.get(value.getPlaceholder());
      if (given == null) {
        throw new PerformerException(
            ("the node %s leaves the attribute %s to the function's caller, which does not"
                    + " give it")
                .formatted(node.getName(), value.getPlaceholder()));
      }
      return given;
    }
    if (value.hasFunc() && value.getFunc().getAttrCount() > 0) {
      return AttrValue.newBuilder().setFunc(fill(value.getFunc(), values, node)).build();
    }
    if (value.hasList() && value.getList().getFuncCount() > 0) {
      AttrValue.ListValue.Builder list = value.getList().toBuilder().clearFunc();
      value.getList().getFuncList().forEach(f -> list.addFunc(fill(f, values, node)));
      return AttrValue.newBuilder().setList(list).build();
    }
    return value;
  }

  private static NameAttrList fill(
      NameAttrList function, Map<String, AttrValue> values, NodeDef node) {
    NameAttrList.Builder filled = function.toBuilder();
    function.getAttrMap().forEach((key, value) -> filled.putAttr(key, fill(value, values, node)));
    return filled.build();
  }
}
