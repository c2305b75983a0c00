package dev.performer.savedmodel;

import dev.performer.graph.GraphProtos;
import dev.performer.graph.Tensors;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.TensorInfo;

/**
 * One input or output of a signature.
 *
 * @param name the name callers use
 * @param tensor the graph's tensor, as in {@code serving_default_tokens:0}
 * @param type element type
 * @param shape may have unknown dimensions or an unknown rank
 */
public record TensorSpec(String name, String tensor, DataType type, Shape shape) {

  static TensorSpec of(String name, TensorInfo info) {
    Shape shape = GraphProtos.shape(info.getTensorShape());
    return new TensorSpec(name, info.getName(), info.getDtype(), shape);
  }

  /** The type as Python writes it: {@code float32}. */
  public String typeName() {
    return Tensors.typeName(type);
  }

  /** Whether its first dimensions can be those of another, which may be free. */
  public boolean follows(TensorSpec other, int dimensions) {
    if (shape.isUnknown() || other.shape.isUnknown()) {
      return true;
    }
    int both = Math.min(dimensions, other.shape.numDimensions());
    return shape.numDimensions() >= dimensions
        && IntStream.range(0, both).allMatch(i -> shape.get(i) < 0 || other.shape.get(i) >= 0);
  }

  /** Whether it holds floating-point numbers. */
  public boolean isFloat() {
    return switch (type) {
      case DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16 -> true;
      default -> false;
    };
  }

  /** The shape as Python writes it, {@code ?} for what is unknown: {@code [?, 32]}. */
  public String shapeText() {
    return shapeText(shape);
  }

  static String shapeText(Shape shape) {
    if (shape.isUnknown()) {
      return "of any rank";
    }
    return Arrays.stream(shape.asArray())
        .mapToObj(size -> size < 0 ? "?" : "" + size)
        .collect(Collectors.joining(", ", "[", "]"));
  }

  @Override
  public String toString() {
    return name + " " + typeName() + " " + shapeText();
  }
}
