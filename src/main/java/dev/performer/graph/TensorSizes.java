package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static java.lang.Math.addExact;
import static java.lang.Math.multiplyExact;

import dev.performer.PerformerException;
import java.util.List;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/**
 * What tensors and shapes in protocol buffers claim. TensorFlow allocates what a constant claims,
 * and ends the process where a number of elements overflows.
 */
final class TensorSizes {
  static final int VARIABLE = 0; // width of elements that have no fixed size
  static final int UNKNOWN = -1; // width of types that are stored nowhere

  private TensorSizes() {}

  /** Bytes of one element in tensors and checkpoints. */
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

  /** Bytes that the node's constants have once they are tensors. @throws PerformerException */
  static long claimed(NodeDef node, String place) {
    try {
      long bytes = 0;
      for (AttrValue value : node.getAttrMap().values()) {
        elements(value.getShape());
        value.getList().getShapeList().forEach(TensorSizes::elements);
        for (TensorProto tensor : tensors(value)) {
          bytes = addExact(bytes, claimed(tensor, node, place));
        }
      }
      return bytes;
    } catch (ArithmeticException e) {
      throw new PerformerException(
          "the node %s of %s has a shape of more elements than can be counted"
              .formatted(node.getName(), place),
          e);
    }
  }

  private static long claimed(TensorProto tensor, NodeDef node, String place) {
    long elements = elements(tensor.getTensorShape());
    long content = tensor.getTensorContent().size();
    int width = width(tensor.getDtype());
    if (width <= 0) {
      // Packed strings take a byte each at least; one that is left out repeats the last, and empty
      // ones take 24 bytes of memory.
      return elements > content ? multiplyExact(elements, 24L) : 0;
    }
    long size = multiplyExact(elements, (long) width);
    String message = "the node %s of %s: a constant holds %s bytes, its shape needs %s";
    require(content == 0 || content == size, message, node.getName(), place, content, size);
    return size;
  }

  /** Bytes of the file that the node's constants take. */
  static long present(NodeDef node) {
    return node.getAttrMap().values().stream()
        .flatMap(value -> tensors(value).stream())
        .mapToLong(TensorProto::getSerializedSize)
        .sum();
  }

  private static List<TensorProto> tensors(AttrValue value) {
    return value.hasTensor() ? List.of(value.getTensor()) : value.getList().getTensorList();
  }
}
