package dev.performer.graph;

import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/** Nodes for graphs that are still protocol buffers. */
public final class NodeBuilders {
  private NodeBuilders() {}

  /** A node without attributes. */
  public static NodeDef.Builder node(String name, String op, String... inputs) {
    return NodeDef.newBuilder().setName(name).setOp(op).addAllInput(List.of(inputs));
  }

  /** An attribute that holds a type. */
  public static AttrValue type(DataType type) {
    return AttrValue.newBuilder().setType(type).build();
  }

  /** An attribute that names a function. */
  public static AttrValue function(String name) {
    return AttrValue.newBuilder().setFunc(NameAttrList.newBuilder().setName(name)).build();
  }

  /** A shape, −1 where a size is unknown. */
  public static TensorShapeProto shape(Shape shape) {
    TensorShapeProto.Builder proto = TensorShapeProto.newBuilder();
    if (shape.isUnknown()) {
      return proto.setUnknownRank(true).build();
    }
    for (long size : shape.asArray()) {
      proto.addDimBuilder().setSize(size);
    }
    return proto.build();
  }

  static NodeDef ints(String name, int... values) {
    return constant(name, values, Shape.of(values.length));
  }

  static NodeDef integer(String name, int value) {
    return constant(name, new int[] {value}, Shape.scalar());
  }

  /** An int32 matrix. */
  static NodeDef ints(String name, int[] values, int rows, int columns) {
    return constant(name, values, Shape.of(rows, columns));
  }

  private static NodeDef constant(String name, int[] values, Shape shape) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(values);
    TensorProto tensor =
        TensorProto.newBuilder()
            .setDtype(DataType.DT_INT32)
            .setTensorShape(shape(shape))
            .setTensorContent(ByteString.copyFrom(bytes.array()))
            .build();
    return node(name, "Const")
        .putAttr("dtype", type(DataType.DT_INT32))
        .putAttr("value", AttrValue.newBuilder().setTensor(tensor).build())
        .build();
  }
}
