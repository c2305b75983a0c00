package dev.performer.graph;

import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/** Nodes for graphs that are still protocol buffers. */
final class NodeBuilders {
  private NodeBuilders() {}

  static NodeDef.Builder node(String name, String op, String... inputs) {
    return NodeDef.newBuilder().setName(name).setOp(op).addAllInput(List.of(inputs));
  }

  static AttrValue type(DataType type) {
    return AttrValue.newBuilder().setType(type).build();
  }

  static NodeDef ints(String name, int... values) {
    return constant(name, values, TensorShapeProto.newBuilder().addDim(dim(values.length)));
  }

  static NodeDef integer(String name, int value) {
    return constant(name, new int[] {value}, TensorShapeProto.newBuilder());
  }

  /** An int32 matrix. */
  static NodeDef ints(String name, int[] values, int rows, int columns) {
    return constant(
        name, values, TensorShapeProto.newBuilder().addDim(dim(rows)).addDim(dim(columns)));
  }

  private static TensorShapeProto.Dim dim(int size) {
    return TensorShapeProto.Dim.newBuilder().setSize(size).build();
  }

  private static NodeDef constant(String name, int[] values, TensorShapeProto.Builder shape) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(values);
    TensorProto tensor =
        TensorProto.newBuilder()
            .setDtype(DataType.DT_INT32)
            .setTensorShape(shape)
            .setTensorContent(ByteString.copyFrom(bytes.array()))
            .build();
    return node(name, "Const")
        .putAttr("dtype", type(DataType.DT_INT32))
        .putAttr("value", AttrValue.newBuilder().setTensor(tensor).build())
        .build();
  }
}
