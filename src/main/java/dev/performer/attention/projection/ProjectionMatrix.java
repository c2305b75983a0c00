package dev.performer.attention.projection;

import static dev.performer.PerformerException.require;

import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * A random projection P on the Java side; it holds no native memory.
 *
 * @param values row major, {@code [M, D]}
 * @param rows M, the number of directions
 * @param columns D, the head dimension
 */
public record ProjectionMatrix(float[] values, int rows, int columns) {
  /** Checks that the number of values fits the shape. */
  public ProjectionMatrix {
    if (values.length != elements(rows, columns)) {
      throw new IllegalArgumentException(
          "a projection of shape [" + rows + ", " + columns + "] cannot have " + values.length);
    }
  }

  /** The element of one row and column. */
  public float at(int row, int column) {
    return values[row * columns + column];
  }

  /** The shape, {@code {M, D}}. */
  public long[] shape() {
    return new long[] {rows, columns};
  }

  /** Adds it to a graph as a constant {@code [M, D]}, as Model Garden's SavedModels hold it. */
  public Operand<TFloat32> constant(Ops tf) {
    return tf.constant(Shape.of(rows, columns), DataBuffers.of(values, true, false));
  }

  /** Checks that the projection, and a block of it, are not beyond Java's arrays. */
  static void requireShape(int rows, int columns) {
    elements(rows, columns);
    elements(columns, columns);
  }

  /** The number of elements; sides are positive, and the matrix fits one of Java's arrays. */
  static int elements(int rows, int columns) {
    String empty =
        "a projection needs at least one row and one column, not [%d, %d]; set the number of random features and the head dimension to 1 or more";
    require(rows >= 1 && columns >= 1, empty, rows, columns);
    long elements = (long) rows * columns;
    String large = "a projection of shape [%d, %d] is too large; use fewer random features";
    require(elements <= Integer.MAX_VALUE - 16, large, rows, columns);
    return (int) elements;
  }
}
