package dev.performer.graph;

import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.family.TType;

/**
 * A named tensor that goes into or comes out of a function.
 *
 * @param name its name
 * @param type element type
 * @param shape shape; −1 for a size that is known only at run time
 */
public record ArgumentSpec(String name, Class<? extends TType> type, Shape shape) {
  /** As {@code ArgumentSpec(name, type, Shape.of(shape))}. */
  public static ArgumentSpec of(String name, Class<? extends TType> type, long... shape) {
    return new ArgumentSpec(name, type, Shape.of(shape));
  }

  /** The element type as TensorFlow's protocol buffers name it. */
  public DataType dataType() {
    return DataTypes.of(type);
  }
}
