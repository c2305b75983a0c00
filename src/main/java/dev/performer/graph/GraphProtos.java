package dev.performer.graph;

import static java.lang.Math.multiplyExact;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/** Nodes, tensors and shapes as protocol buffers. */
public final class GraphProtos {
  static final AttrValue INT32 = type(DataType.DT_INT32);
  static final int VARIABLE = 0; // width of elements that have no fixed size
  static final int UNKNOWN = -1; // width of types that are stored nowhere

  private GraphProtos() {}

  static int width(DataType type) {
    return switch (type) {
      case DT_COMPLEX128 -> 16;
      case DT_DOUBLE, DT_INT64, DT_UINT64, DT_COMPLEX64 -> 8;
      case DT_FLOAT, DT_INT32, DT_UINT32, DT_QINT32 -> 4;
      case DT_HALF, DT_BFLOAT16, DT_INT16, DT_UINT16, DT_QINT16, DT_QUINT16 -> 2;
      case DT_BOOL, DT_INT8, DT_UINT8, DT_QINT8, DT_QUINT8 -> 1;
      case DT_FLOAT8_E5M2, DT_FLOAT8_E4M3FN -> 1;
      case DT_STRING, DT_VARIANT -> VARIABLE;
      default -> UNKNOWN;
    };
  }

  /** The product of the known dimensions. @throws ArithmeticException if it has no 64 bits */
  static long elements(TensorShapeProto shape) {
    long elements = 1;
    boolean isEmpty = false;
    for (TensorShapeProto.Dim dim : shape.getDimList()) {
      isEmpty |= dim.getSize() == 0;
      elements = dim.getSize() > 0 ? multiplyExact(elements, dim.getSize()) : elements;
    }
    return isEmpty ? 0 : elements;
  }

  public static Shape shape(TensorShapeProto proto) {
    return proto.getUnknownRank()
        ? Shape.unknown()
        : Shape.of(proto.getDimList().stream().mapToLong(TensorShapeProto.Dim::getSize).toArray());
  }

  /** All of a tensor in C order. @throws IllegalArgumentException if it is damaged or of numbers */
  public static List<ByteString> strings(TensorProto tensor) {
    if (tensor.getDtype() != DataType.DT_STRING) {
      throw new IllegalArgumentException("a tensor of " + tensor.getDtype() + " holds no strings");
    }
    int count = Math.toIntExact(elements(tensor.getTensorShape()));
    List<ByteString> strings = new ArrayList<>(tensor.getStringValList());
    if (strings.isEmpty() && !tensor.getTensorContent().isEmpty()) {
      return unpacked(tensor.getTensorContent().newCodedInput(), count);
    }
    while (strings.size() < count) { // repeated last values may be left out
      strings.add(strings.isEmpty() ? ByteString.EMPTY : strings.get(strings.size() - 1));
    }
    return strings;
  }

  /** As TensorFlow's runtime packs them: first all lengths, then all bytes. */
  private static List<ByteString> unpacked(CodedInputStream in, int count) {
    try {
      List<Integer> lengths = new ArrayList<>();
      while (lengths.size() < count) {
        lengths.add(in.readRawVarint32());
      }
      List<ByteString> strings = new ArrayList<>();
      for (int length : lengths) {
        strings.add(ByteString.copyFrom(in.readRawBytes(length)));
      }
      return strings;
    } catch (IOException e) {
      throw new IllegalArgumentException("a constant's strings are damaged", e);
    }
  }

  public static TensorProto unpacked(TensorProto tensor) {
    TensorProto.Builder unpacked = tensor.toBuilder().clearTensorContent().clearStringVal();
    return unpacked.addAllStringVal(strings(tensor)).build();
  }

  public static NodeDef.Builder node(String name, String op, String... inputs) {
    return NodeDef.newBuilder().setName(name).setOp(op).addAllInput(List.of(inputs));
  }

  public static AttrValue type(DataType type) {
    return AttrValue.newBuilder().setType(type).build();
  }

  static AttrValue types(List<DataType> types) {
    var list = AttrValue.ListValue.newBuilder().addAllType(types);
    return AttrValue.newBuilder().setList(list).build();
  }

  public static AttrValue function(String name) {
    return AttrValue.newBuilder().setFunc(NameAttrList.newBuilder().setName(name)).build();
  }

  public static TensorShapeProto shape(Shape shape) {
    var proto = TensorShapeProto.newBuilder().setUnknownRank(shape.isUnknown());
    for (long size : shape.isUnknown() ? new long[0] : shape.asArray()) {
      proto.addDimBuilder().setSize(size);
    }
    return proto.build();
  }

  static NodeDef.Builder ints(String name, Shape shape, int... values) {
    TensorProto.Builder tensor = TensorProto.newBuilder().setDtype(DataType.DT_INT32);
    IntStream.of(values).forEach(tensor.setTensorShape(shape(shape))::addIntVal);
    AttrValue value = AttrValue.newBuilder().setTensor(tensor).build();
    return node(name, "Const").putAttr("dtype", INT32).putAttr("value", value);
  }
}
