package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.List;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

/**
 * What the tensors and shapes in a node's attributes claim. TensorFlow allocates what a constant
 * claims, and ends the process where a number of elements overflows.
 */
final class ConstantSize {
  private ConstantSize() {}

  /** Bytes that the node's constants have once they are tensors. @throws PerformerException */
  static long claimed(NodeDef node, String place) {
    try {
      long bytes = 0;
      for (AttrValue value : node.getAttrMap().values()) {
        checkShapes(value);
        bytes =
            Math.addExact(
                bytes,
                claimed(
                    value.hasTensor()
                        ? List.of(value.getTensor())
                        : value.getList().getTensorList()));
      }
      return bytes;
    } catch (ArithmeticException e) {
      throw new PerformerException(
          "the node %s of %s has a shape of more elements than can be counted"
              .formatted(node.getName(), place),
          e);
    } catch (PerformerException e) {
      throw new PerformerException(
          "the node " + node.getName() + " of " + place + ": " + e.getMessage(), e);
    }
  }

  /** Bytes of the file that the node's constants take. */
  static long present(NodeDef node) {
    long bytes = 0;
    for (AttrValue value : node.getAttrMap().values()) {
      if (value.hasTensor() || value.getList().getTensorCount() > 0) {
        bytes += value.getSerializedSize();
      }
    }
    return bytes;
  }

  private static void checkShapes(AttrValue value) {
    elements(value.getShape());
    value.getList().getShapeList().forEach(ConstantSize::elements);
  }

  private static long claimed(List<TensorProto> tensors) {
    long bytes = 0;
    for (TensorProto tensor : tensors) {
      long elements = elements(tensor.getTensorShape());
      int width = ElementSize.of(tensor.getDtype());
      long content = tensor.getTensorContent().size();
      if (width > 0) {
        long size = Math.multiplyExact(elements, (long) width);
        if (content > 0 && content != size) {
          throw new PerformerException(
              "a constant holds " + content + " bytes, its shape needs " + size);
        }
        bytes = Math.addExact(bytes, size);
      } else if (elements > content) { // packed strings take a byte each at least
        // A string that is left out repeats the last; empty ones take 24 bytes of memory.
        bytes = Math.addExact(bytes, Math.multiplyExact(elements, 24L));
      }
    }
    return bytes;
  }

  /** The product of the known dimensions. @throws ArithmeticException if it has no 64 bits */
  private static long elements(TensorShapeProto shape) {
    long elements = 1;
    boolean isEmpty = false;
    for (TensorShapeProto.Dim dim : shape.getDimList()) {
      if (dim.getSize() == 0) {
        isEmpty = true;
      } else if (dim.getSize() > 0) {
        elements = Math.multiplyExact(elements, dim.getSize());
      }
    }
    return isEmpty ? 0 : elements;
  }
}
