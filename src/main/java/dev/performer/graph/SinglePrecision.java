package dev.performer.graph;

import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.TensorProto;

/**
 * Computes in float32 what a graph computes in float16 or bfloat16, of which many gradients have no
 * kernel on a processor and others underflow. Inputs keep their type; variables, constants and
 * outputs become float32. Graphs that take tensors apart into bits stay as they are.
 */
public final class SinglePrecision {
  private static final Set<String> BITS =
      Set.of("Bitcast", "DecodeRaw", "DecodePaddedRaw", "ParseTensor", "SerializeTensor");
  private static final String SUFFIX = "/in_float32";
  private static final AttrValue FLOAT = type(DataType.DT_FLOAT);

  private final Map<String, String> inputs = new HashMap<>();

  private SinglePrecision() {}

  public static boolean isNarrow(DataType type) {
    return type == DataType.DT_HALF || type == DataType.DT_BFLOAT16;
  }

  public static GraphDef apply(GraphDef graph) {
    List<FunctionDef> functions = graph.getLibrary().getFunctionList();
    boolean isNarrow =
        graph.getNodeList().stream().anyMatch(SinglePrecision::isNarrow)
            || functions.stream()
                .anyMatch(f -> f.getNodeDefList().stream().anyMatch(SinglePrecision::isNarrow));
    boolean hasBits =
        graph.getNodeList().stream().anyMatch(n -> BITS.contains(n.getOp()) && isNarrow(n));
    return isNarrow && !hasBits ? new SinglePrecision().widened(graph) : graph;
  }

  private static boolean isNarrow(NodeDef node) {
    return node.getAttrMap().values().stream()
        .anyMatch(
            a ->
                isNarrow(a.getType())
                    || a.getList().getTypeList().stream().anyMatch(SinglePrecision::isNarrow));
  }

  private GraphDef widened(GraphDef graph) {
    for (NodeDef node : graph.getNodeList()) {
      if (isInput(node)) {
        inputs.put(node.getName(), node.getName() + SUFFIX);
      }
    }
    GraphDef.Builder wide = graph.toBuilder().clearNode();
    for (NodeDef node : graph.getNodeList()) {
      if (isInput(node)) {
        AttrValue from = node.getAttrOrThrow("dtype");
        var cast = node(node.getName() + SUFFIX, "Cast", node.getName());
        wide.addNode(node).addNode(cast.putAttr("SrcT", from).putAttr("DstT", FLOAT));
      } else {
        NodeDef.Builder other = widened(node).toBuilder().clearInput();
        for (String input : node.getInputList()) {
          String cast = TensorNames.isControl(input) ? null : inputs.get(TensorNames.node(input));
          other.addInput(cast == null ? input : cast);
        }
        wide.addNode(other);
      }
    }
    wide.getLibraryBuilder().getFunctionBuilderList().forEach(SinglePrecision::widen);
    return wide.build();
  }

  private static boolean isInput(NodeDef node) {
    return node.getOp().equals("Placeholder") && isNarrow(node);
  }

  private static void widen(FunctionDef.Builder function) {
    OpDef.Builder signature = function.getSignatureBuilder();
    for (var arguments :
        List.of(signature.getInputArgBuilderList(), signature.getOutputArgBuilderList())) {
      arguments.forEach(argument -> argument.setType(wide(argument.getType())));
    }
    var nodes = IntStream.range(0, function.getNodeDefCount());
    nodes.forEach(i -> function.setNodeDef(i, widened(function.getNodeDef(i))));
  }

  private static NodeDef widened(NodeDef node) {
    NodeDef.Builder wide = node.toBuilder();
    node.getAttrMap().forEach((name, value) -> wide.putAttr(name, widened(value)));
    return wide.build();
  }

  private static AttrValue widened(AttrValue value) {
    AttrValue.Builder wide = value.toBuilder();
    if (isNarrow(value.getType())) {
      wide.setType(DataType.DT_FLOAT);
    } else if (value.hasTensor()) {
      wide.setTensor(widened(value.getTensor()));
    } else if (value.getList().getTypeCount() > 0) {
      var types = IntStream.range(0, value.getList().getTypeCount());
      types.forEach(i -> wide.getListBuilder().setType(i, wide(value.getList().getType(i))));
    }
    return wide.build();
  }

  private static DataType wide(DataType type) {
    return isNarrow(type) ? DataType.DT_FLOAT : type;
  }

  private static TensorProto widened(TensorProto tensor) {
    if (!isNarrow(tensor.getDtype())) {
      return tensor;
    }
    boolean isHalf = tensor.getDtype() == DataType.DT_HALF;
    var wide = tensor.toBuilder().setDtype(DataType.DT_FLOAT).clearTensorContent().clearHalfVal();
    tensor.getHalfValList().forEach(bits -> wide.addFloatVal(value(bits.shortValue(), isHalf)));
    ByteBuffer content =
        tensor.getTensorContent().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    while (content.remaining() >= 2) {
      wide.addFloatVal(value(content.getShort(), isHalf));
    }
    return wide.build();
  }

  /** Bfloat16 is the upper half of a float32; float16 has 5 bits of exponent and 10 of fraction. */
  private static float value(short bits, boolean isHalf) {
    if (!isHalf) {
      return Float.intBitsToFloat(bits << 16);
    }
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    float size =
        switch (exponent) {
          case 0 -> fraction * 0x1p-24f;
          case 0x1f -> fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
          default -> Math.scalb(1 + fraction * 0x1p-10f, exponent - 15);
        };
    return bits < 0 ? -size : size;
  }
}
