package dev.performer.graph;

import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.family.TType;

/** A named tensor that goes into or comes out of a function; −1 for a size of run time. */
public record ArgumentSpec(String name, Class<? extends TType> type, Shape shape) {
  public static ArgumentSpec of(String name, Class<? extends TType> type, long... shape) {
    return new ArgumentSpec(name, type, Shape.of(shape));
  }

  public DataType dataType() {
    return DataTypes.of(type);
  }
}
