package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.TensorFlow;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/** The ops that this build of TensorFlow knows, and what their arguments look like in a node. */
public final class OpDefinitions {
  private static final Map<String, OpDef> OPS = load();
  private static final int MOST_TENSORS = 1 << 20;

  private OpDefinitions() {}

  private static Map<String, OpDef> load() {
    Map<String, OpDef> ops = new HashMap<>();
    TensorFlow.registeredOpList().getOpList().forEach(op -> ops.put(op.getName(), op));
    return Map.copyOf(ops);
  }

  /** The definition of an op type, if TensorFlow has it. */
  public static Optional<OpDef> find(String opType) {
    return Optional.ofNullable(OPS.get(opType));
  }

  /**
   * Refuses a node that lacks an attribute of its op.
   *
   * @param place where the node is, for the error
   * @throws PerformerException that names the node and the attribute
   */
  public static void checkAttributes(NodeDef node, OpDef definition, String place) {
    for (OpDef.AttrDef attr : definition.getAttrList()) {
      if (!attr.hasDefaultValue() && !node.containsAttr(attr.getName())) {
        throw wrong(node, place, "it lacks the attribute " + attr.getName());
      }
    }
  }

  /**
   * Refuses a node of a main graph that has more or fewer inputs than its op takes.
   *
   * @throws PerformerException that names the node
   */
  public static void checkInputs(NodeDef node, OpDef definition, String place) {
    Map<String, AttrValue> attributes = withDefaults(node, definition);
    long expected = 0;
    for (ArgDef arg : definition.getInputArgList()) {
      expected += length(arg, attributes);
    }
    int given = GraphIndex.dataInputs(node).size();
    if (given != expected) {
      throw wrong(node, place, "it has " + given + " inputs, its op takes " + expected);
    }
  }

  private static PerformerException wrong(NodeDef node, String place, String what) {
    return new PerformerException(
        "the op " + node.getOp() + " (node " + node.getName() + " of " + place + "): " + what);
  }

  /** Types of all outputs of a node, in order; empty if its op is unknown. */
  public static List<DataType> outputTypes(NodeDef node) {
    OpDef definition = OPS.get(node.getOp());
    if (definition == null) {
      return List.of();
    }
    Map<String, AttrValue> attributes = withDefaults(node, definition);
    List<DataType> types = new ArrayList<>();
    for (ArgDef arg : definition.getOutputArgList()) {
      types.addAll(types(arg, attributes));
    }
    return types;
  }

  /** The output of that name. */
  static Optional<ArgDef> output(OpDef definition, String name) {
    return definition.getOutputArgList().stream()
        .filter(arg -> arg.getName().equals(name))
        .findFirst();
  }

  /** The flat index at which the named output of a node begins. */
  static int outputOffset(NodeDef node, OpDef definition, String output) {
    Map<String, AttrValue> attributes = withDefaults(node, definition);
    int offset = 0;
    for (ArgDef arg : definition.getOutputArgList()) {
      if (arg.getName().equals(output)) {
        return offset;
      }
      offset += length(arg, attributes);
    }
    throw new PerformerException(
        "the op " + node.getOp() + " (node " + node.getName() + ") has no output " + output);
  }

  /** How many tensors stand for one argument. */
  public static int length(ArgDef arg, Map<String, AttrValue> attributes) {
    if (!arg.getNumberAttr().isEmpty()) {
      long number = required(attributes, arg.getNumberAttr(), arg).getI();
      if (number < 0 || number > MOST_TENSORS) {
        throw new PerformerException(
            "the attribute %s makes %s tensors of one argument"
                .formatted(arg.getNumberAttr(), number));
      }
      return (int) number;
    }
    if (!arg.getTypeListAttr().isEmpty()) {
      return required(attributes, arg.getTypeListAttr(), arg).getList().getTypeCount();
    }
    return 1;
  }

  /** The attributes of a node, with defaults where Python stripped them. */
  static Map<String, AttrValue> withDefaults(NodeDef node, OpDef definition) {
    Map<String, AttrValue> attributes = new HashMap<>(node.getAttrMap());
    for (OpDef.AttrDef attr : definition.getAttrList()) {
      if (attr.hasDefaultValue()) {
        attributes.putIfAbsent(attr.getName(), attr.getDefaultValue());
      }
    }
    return attributes;
  }

  private static List<DataType> types(ArgDef arg, Map<String, AttrValue> attributes) {
    if (!arg.getTypeListAttr().isEmpty()) {
      return required(attributes, arg.getTypeListAttr(), arg).getList().getTypeList();
    }
    DataType type =
        arg.getTypeAttr().isEmpty()
            ? arg.getType()
            : required(attributes, arg.getTypeAttr(), arg).getType();
    return Collections.nCopies(length(arg, attributes), type);
  }

  private static AttrValue required(Map<String, AttrValue> attributes, String name, ArgDef arg) {
    AttrValue value = attributes.get(name);
    if (value == null) {
      throw new PerformerException(
          "the attribute " + name + ", which sizes the argument " + arg.getName() + ", is missing");
    }
    return value;
  }
}
