package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static java.util.stream.Collectors.toUnmodifiableMap;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.tensorflow.TensorFlow;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/** The ops that this build of TensorFlow knows, and what their arguments look like in a node. */
public final class OpDefinitions {
  private static final Map<String, OpDef> OPS =
      TensorFlow.registeredOpList().getOpList().stream()
          .collect(toUnmodifiableMap(OpDef::getName, Function.identity()));
  private static final int MOST_TENSORS = 1 << 20;
  private static final String WRONG = "the op %s (node %s of %s): ";

  private OpDefinitions() {}

  public static Optional<OpDef> find(String opType) {
    return Optional.ofNullable(OPS.get(opType));
  }

  /** The names of all ops that take tensors. */
  static Stream<String> withInputs() {
    return OPS.values().stream().filter(op -> op.getInputArgCount() > 0).map(OpDef::getName);
  }

  public static void checkAttributes(NodeDef node, OpDef definition, String place) {
    for (OpDef.AttrDef attr : definition.getAttrList()) {
      String name = attr.getName();
      boolean isKnown = attr.hasDefaultValue() || node.containsAttr(name);
      String message = WRONG + "it lacks the attribute %s";
      require(isKnown, message, node.getOp(), node.getName(), place, name);
    }
  }

  /** Refuses a node of a main graph that has more or fewer inputs than its op takes. */
  public static void checkInputs(NodeDef node, OpDef definition, String place) {
    Map<String, AttrValue> attributes = withDefaults(node, definition);
    long expected =
        definition.getInputArgList().stream().mapToLong(arg -> length(arg, attributes)).sum();
    int given = GraphIndex.dataInputs(node).size();
    String message = WRONG + "it has %s inputs, its op takes %s";
    require(given == expected, message, node.getOp(), node.getName(), place, given, expected);
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
      String list = arg.getTypeListAttr();
      if (!list.isEmpty()) {
        types.addAll(required(attributes, list, arg).getList().getTypeList());
        continue;
      }
      String name = arg.getTypeAttr();
      DataType type = name.isEmpty() ? arg.getType() : required(attributes, name, arg).getType();
      types.addAll(Collections.nCopies(length(arg, attributes), type));
    }
    return types;
  }

  static IntStream outputs(NodeDef node, OpDef definition, String name) {
    Map<String, AttrValue> attributes = withDefaults(node, definition);
    int offset = 0;
    for (ArgDef arg : definition.getOutputArgList()) {
      int length = length(arg, attributes);
      if (arg.getName().equals(name)) {
        return IntStream.range(offset, offset + length);
      }
      offset += length;
    }
    throw new PerformerException(
        "the op %s (node %s) has no output %s".formatted(node.getOp(), node.getName(), name));
  }

  /** An output as references inside functions write it: the argument's name and the index in it. */
  static String outputName(NodeDef node, int index) {
    OpDef definition = find(node.getOp()).orElseThrow();
    Map<String, AttrValue> attributes = withDefaults(node, definition);
    int offset = 0;
    for (ArgDef arg : definition.getOutputArgList()) {
      int length = length(arg, attributes);
      if (index < offset + length) {
        return arg.getName() + ":" + (index - offset);
      }
      offset += length;
    }
    throw new PerformerException(
        "the op %s (node %s) has no output %s".formatted(node.getOp(), node.getName(), index));
  }

  /** Whether running an op again may give or do something else. */
  static boolean isStateful(NodeDef node) {
    return find(node.getOp()).map(OpDef::getIsStateful).orElse(true);
  }

  public static int length(ArgDef arg, Map<String, AttrValue> attributes) {
    String count = arg.getNumberAttr();
    if (!count.isEmpty()) {
      long number = required(attributes, count, arg).getI();
      boolean isSane = number >= 0 && number <= MOST_TENSORS;
      require(isSane, "the attribute %s makes %s tensors of one argument", count, number);
      return (int) number;
    }
    String list = arg.getTypeListAttr();
    return list.isEmpty() ? 1 : required(attributes, list, arg).getList().getTypeCount();
  }

  /** All attributes of a node, defaults included; its own alone if its op is unknown. */
  static Map<String, AttrValue> attributes(NodeDef node) {
    return find(node.getOp()).map(op -> withDefaults(node, op)).orElseGet(node::getAttrMap);
  }

  private static Map<String, AttrValue> withDefaults(NodeDef node, OpDef definition) {
    Map<String, AttrValue> attributes = new HashMap<>(node.getAttrMap());
    for (OpDef.AttrDef attr : definition.getAttrList()) {
      if (attr.hasDefaultValue()) {
        attributes.putIfAbsent(attr.getName(), attr.getDefaultValue());
      }
    }
    return attributes;
  }

  private static AttrValue required(Map<String, AttrValue> attributes, String name, ArgDef arg) {
    AttrValue value = attributes.get(name);
    require(value != null, "the attribute %s of the argument %s is missing", name, arg.getName());
    return value;
  }
}
