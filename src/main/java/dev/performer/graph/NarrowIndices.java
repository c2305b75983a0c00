package dev.performer.graph;

import static dev.performer.graph.GraphProtos.INT32;
import static dev.performer.graph.GraphProtos.elements;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;
import static java.util.Map.entry;

import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.util.List;
import java.util.Map;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/**
 * Makes axes, paddings and indices of int64 int32 where TensorFlow's C++ gradient computes them
 * with int32, which fails, or ends the process. Values beyond int32 become its ends: as bounds of
 * slices they mean the same.
 */
final class NarrowIndices {
  private static final int LAST = -1;
  private static final AttrValue INT64 = type(DataType.DT_INT64);
  private static final Indices AXES = new Indices("Tidx", 1);
  private static final Indices PADDINGS = new Indices("Tpaddings", 1);
  private static final Map<String, Indices> BY_OP =
      Map.ofEntries(
          entry("BroadcastTo", AXES),
          entry("ConcatV2", new Indices("Tidx", LAST)),
          entry("GatherV2", new Indices("Taxis", 2)),
          entry("Max", AXES),
          entry("Mean", AXES),
          entry("Min", AXES),
          entry("Pad", PADDINGS),
          entry("PadV2", PADDINGS),
          entry("Prod", AXES),
          entry("Slice", new Indices("Index", 1, 2)),
          entry("StridedSlice", new Indices("Index", 1, 2, 3)),
          entry("Sum", AXES));

  /** The attribute that has their type, and which inputs they are. */
  private record Indices(String type, int... inputs) {}

  private final GraphIndex index;
  private final GraphDef.Builder narrowed;

  private NarrowIndices(GraphDef graph) {
    index = new GraphIndex(graph.getNodeList());
    narrowed = graph.toBuilder().clearNode();
    graph.getNodeList().forEach(this::add);
  }

  static GraphDef apply(GraphDef graph) {
    return new NarrowIndices(graph).narrowed.build();
  }

  private void add(NodeDef original) {
    Indices indices = BY_OP.get(original.getOp());
    if (indices == null || !INT64.equals(original.getAttrMap().get(indices.type()))) {
      narrowed.addNode(original);
      return;
    }
    NodeDef.Builder narrow = original.toBuilder().putAttr(indices.type(), INT32);
    int last = GraphIndex.dataInputs(original).size() - 1;
    for (int i : indices.inputs()) {
      int input = i == LAST ? last : i;
      narrow.setInput(input, narrow(original.getInput(input), free(original, input)));
    }
    narrowed.addNode(narrow);
  }

  private String free(NodeDef node, int input) {
    String name = node.getName() + "/int32_" + input;
    while (index.find(name).isPresent()) {
      name += "_";
    }
    return name;
  }

  private String narrow(String input, String name) {
    NodeDef source = index.find(input).orElseThrow();
    if (source.getOp().equals("Const")) {
      narrowed.addNode(constant(name, INT32, narrow(source.getAttrOrThrow("value").getTensor())));
      return name;
    }
    String least = name + "/least";
    String most = name + "/most";
    narrowed.addNode(constant(least, INT64, scalar(Integer.MIN_VALUE)));
    narrowed.addNode(constant(most, INT64, scalar(Integer.MAX_VALUE)));
    narrowed.addNode(node(name + "/from", "Maximum", input, least).putAttr("T", INT64));
    narrowed.addNode(node(name + "/to", "Minimum", name + "/from", most).putAttr("T", INT64));
    var cast = node(name, "Cast", name + "/to").putAttr("SrcT", INT64);
    narrowed.addNode(cast.putAttr("DstT", INT32));
    return name;
  }

  private static TensorProto scalar(long value) {
    var tensor = TensorProto.newBuilder().setDtype(DataType.DT_INT64).addInt64Val(value);
    return tensor.setTensorShape(GraphProtos.shape(Shape.scalar())).build();
  }

  private static NodeDef.Builder constant(String name, AttrValue type, TensorProto tensor) {
    AttrValue value = AttrValue.newBuilder().setTensor(tensor).build();
    return node(name, "Const").putAttr("dtype", type).putAttr("value", value);
  }

  private static TensorProto narrow(TensorProto wide) {
    var shape = wide.getTensorShape();
    var narrow = TensorProto.newBuilder().setDtype(DataType.DT_INT32).setTensorShape(shape);
    var packed = wide.getTensorContent().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    LongBuffer longs = packed.asLongBuffer();
    List<Long> listed = wide.getInt64ValList();
    long value = 0;
    for (int i = 0; i < elements(shape); i++) { // repeated last values may be left out
      value = longs.hasRemaining() ? longs.get() : i < listed.size() ? listed.get(i) : value;
      narrow.addIntVal((int) Math.max(Integer.MIN_VALUE, Math.min(Integer.MAX_VALUE, value)));
    }
    return narrow.build();
  }
}
