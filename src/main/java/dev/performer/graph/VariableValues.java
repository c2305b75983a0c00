package dev.performer.graph;

import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;
import static java.nio.ByteOrder.LITTLE_ENDIAN;

import com.google.protobuf.ByteString;
import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.Tensor;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/** How a flat graph gets at the values of its resource variables. */
public final class VariableValues {
  private static final String HANDLE = "VarHandleOp";
  private static final Set<String> PASSED_ON = Set.of("Identity");

  private VariableValues() {}

  /** The same graph, in which {@code ReadVariableOp} alone reads a variable. */
  public static GraphDef readWhole(GraphDef graph) {
    GraphIndex index = new GraphIndex(graph.getNodeList());
    GraphDef.Builder read = graph.toBuilder().clearNode();
    for (NodeDef node : graph.getNodeList()) {
      Optional<NodeDef> handle =
          VariableReads.isRead(node) ? handle(node.getInput(0), index) : Optional.empty();
      if (handle.isEmpty()) {
        read.addNode(node);
        continue;
      }
      AttrValue type = handle.get().getAttrOrThrow("dtype");
      boolean isWhole = node.getOp().equals("ReadVariableOp");
      String name = node.getName() + (isWhole ? "" : "/whole");
      var whole = node(name, "ReadVariableOp", handle.get().getName()).putAttr("dtype", type);
      read.addNode(whole.addAllInput(GraphIndex.controlInputs(node)));
      if (!isWhole) {
        read.addAllNode(VariableReads.ofValue(node, name, type));
      }
    }
    return read.build();
  }

  private static Optional<NodeDef> handle(String reference, GraphIndex index) {
    return index.find(index.source(reference, PASSED_ON)).filter(n -> n.getOp().equals(HANDLE));
  }

  /** Variables, by their handles' nodes, that are read whole and nothing else. */
  public static Set<String> onlyRead(GraphDef graph) {
    Set<String> only = new LinkedHashSet<>();
    graph.getNodeList().stream()
        .filter(node -> node.getOp().equals(HANDLE))
        .forEach(handle -> only.add(handle.getName()));
    for (NodeDef node : graph.getNodeList()) {
      if (!node.getOp().equals("ReadVariableOp")) {
        GraphIndex.dataInputs(node).forEach(input -> only.remove(TensorNames.node(input)));
      }
    }
    return only;
  }

  /**
   * Puts constants in the place of variables.
   *
   * @param graph one that reads them whole
   * @param values of all variables by their handles' nodes; they stay their owner's
   * @throws PerformerException naming a node that needs more of a variable than its value
   */
  public static GraphDef frozen(GraphDef graph, Map<String, Tensor> values) {
    List<NodeDef> nodes = new ArrayList<>();
    for (NodeDef node : graph.getNodeList()) {
      String source = node.getInputCount() == 0 ? "" : TensorNames.node(node.getInput(0));
      if (values.containsKey(node.getName())) {
        nodes.add(constant(node.getName(), values.get(node.getName())));
      } else if (node.getOp().equals("ReadVariableOp") && values.containsKey(source)) {
        nodes.addAll(VariableReads.ofValue(node, source, node.getAttrOrThrow("dtype")));
      } else {
        for (String input : GraphIndex.dataInputs(node)) {
          String text =
              "the node %s (op %s) takes the variable %s itself, not its value: what changes a variable, or reads it inside a loop, is not frozen; leave its signature out";
          if (values.containsKey(TensorNames.node(input))) {
            String message = text.formatted(node.getName(), node.getOp(), input);
            throw new PerformerException(message).settledBy("signature");
          }
        }
        nodes.add(node);
      }
    }
    return graph.toBuilder().clearNode().addAllNode(exactNorms(nodes)).build();
  }

  /**
   * Writes {@code variance + ε} as {@code variance − (−ε)}, the same to the bit: where scale and
   * offset are constants, TensorFlow 2.18 fuses layer norms that Keras wrote, and then forgets ε.
   */
  private static List<NodeDef> exactNorms(List<NodeDef> nodes) {
    GraphIndex index = new GraphIndex(nodes);
    Set<String> sums = new LinkedHashSet<>();
    for (NodeDef node : nodes) {
      if (node.getOp().equals("Rsqrt")) {
        index
            .find(node.getInput(0))
            .filter(sum -> sum.getOp().equals("AddV2"))
            .filter(sum -> epsilon(sum, index).isPresent())
            .ifPresent(sum -> sums.add(sum.getName()));
      }
    }
    List<NodeDef> exact = new ArrayList<>();
    for (NodeDef node : nodes) {
      if (sums.contains(node.getName())) {
        String negative = node.getName() + "/negative";
        float value = epsilon(node, index).orElseThrow();
        var tensor = TensorProto.newBuilder().setDtype(DataType.DT_FLOAT).addFloatVal(-value);
        tensor.setTensorShape(TensorShapeProto.getDefaultInstance());
        exact.add(constant(negative, tensor.build()));
        exact.add(node.toBuilder().setOp("Sub").setInput(1, negative).build());
      } else {
        exact.add(node);
      }
    }
    return exact;
  }

  /** The second operand of a sum, where that is one constant of type float32. */
  private static Optional<Float> epsilon(NodeDef sum, GraphIndex index) {
    return index
        .find(sum.getInput(1))
        .filter(node -> node.getOp().equals("Const"))
        .map(node -> node.getAttrOrThrow("value").getTensor())
        .filter(t -> t.getDtype() == DataType.DT_FLOAT && t.getTensorShape().getDimCount() == 0)
        .map(
            t ->
                t.getFloatValCount() > 0
                    ? t.getFloatVal(0)
                    : t.getTensorContent().asReadOnlyByteBuffer().order(LITTLE_ENDIAN).getFloat());
  }

  static NodeDef constant(String name, Tensor value) {
    var tensor = TensorProto.newBuilder().setDtype(value.dataType());
    tensor.setTensorShape(GraphProtos.shape(value.shape()));
    if (value.dataType() == DataType.DT_STRING) {
      throw new PerformerException("the variable " + name + " holds strings: it stays a variable");
    }
    return constant(
        name, tensor.setTensorContent(ByteString.copyFrom(Tensors.bytes(value))).build());
  }

  private static NodeDef constant(String name, TensorProto value) {
    var attribute = AttrValue.newBuilder().setTensor(value).build();
    var constant = node(name, "Const").putAttr("dtype", type(value.getDtype()));
    return constant.putAttr("value", attribute).build();
  }
}
