package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Tensors;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.EnumMap;
import java.util.Map;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat16;

/** NumPy arrays to the tensors a signature takes, and back. */
final class ArrayConversion {
  // TensorFlow Java has no tensors of the other integer types.
  private static final Map<DataType, NpyType> TYPES = new EnumMap<>(DataType.class);

  static {
    TYPES.put(DataType.DT_FLOAT, NpyType.FLOAT32);
    TYPES.put(DataType.DT_DOUBLE, NpyType.FLOAT64);
    TYPES.put(DataType.DT_INT32, NpyType.INT32);
    TYPES.put(DataType.DT_INT64, NpyType.INT64);
    TYPES.put(DataType.DT_UINT8, NpyType.UINT8);
    TYPES.put(DataType.DT_UINT16, NpyType.UINT16);
    TYPES.put(DataType.DT_BOOL, NpyType.BOOL);
  }

  private ArrayConversion() {}

  /** Whether there are tensors of that type in Java, and arrays for them. */
  static boolean isKnown(DataType type) {
    return TYPES.containsKey(type) || isHalf(type);
  }

  /** Refuses an output that no array can hold. */
  static void checkOutput(TensorSpec output) {
    if (!isKnown(output.type())) {
      throw new PerformerException(
          "the output %s is of type %s, which has no array here"
              .formatted(output.name(), output.typeName()));
    }
  }

  /**
   * The tensor for an input; the caller closes it. @throws PerformerException if it does not fit
   */
  static Tensor toTensor(TensorSpec input, NpyArray array) {
    checkShape(input, array);
    if (isHalf(input.type())) {
      return half(input, array);
    }
    NpyType wanted = TYPES.get(input.type());
    if (wanted == null) {
      throw new PerformerException(
          "the input %s is of type %s, which has no array here"
              .formatted(input.name(), input.typeName()));
    }
    NpyArray converted = array.type() == wanted ? array : convert(input, array, wanted);
    return Tensors.ofBytes(input.type(), Shape.of(array.shape()), converted.buffer());
  }

  private static void checkShape(TensorSpec input, NpyArray array) {
    Shape shape = input.shape();
    if (shape.isUnknown()) {
      return;
    }
    boolean fits = shape.numDimensions() == array.shape().length;
    for (int i = 0; fits && i < array.shape().length; i++) {
      fits = shape.get(i) < 0 || shape.get(i) == array.shape()[i];
    }
    if (!fits) {
      throw new PerformerException(
          "the input %s must have shape %s, not %s"
              .formatted(
                  input.name(), input.shapeText(), TensorSpec.shapeText(Shape.of(array.shape()))));
    }
  }

  private static NpyArray convert(TensorSpec input, NpyArray array, NpyType wanted) {
    boolean floating = isFloating(wanted);
    if (wanted == NpyType.BOOL
        || array.type() == NpyType.BOOL
        || floating != isFloating(array.type())) {
      throw wrongType(input, array, "");
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(array.size(), wanted.size()))
            .order(ByteOrder.LITTLE_ENDIAN);
    if (wanted == NpyType.FLOAT32) {
      putFloats(input, array, bytes);
    } else if (wanted == NpyType.FLOAT64) {
      for (double value : array.doubles()) {
        bytes.putDouble(value);
      }
    } else {
      putIntegers(input, array, wanted, bytes);
    }
    return new NpyArray(wanted, array.shape(), bytes.array());
  }

  /** Rounding is what everyone expects of float64 to float32; overflow to infinity is not. */
  private static void putFloats(TensorSpec input, NpyArray array, ByteBuffer bytes) {
    for (double value : array.doubles()) {
      if (Double.isFinite(value) && Float.isInfinite((float) value)) {
        throw wrongType(input, array, ", and " + value + " does not fit it");
      }
      bytes.putFloat((float) value);
    }
  }

  private static void putIntegers(
      TensorSpec input, NpyArray array, NpyType wanted, ByteBuffer bytes) {
    int bits = 8 * wanted.size();
    boolean unsigned = wanted.code().startsWith("u");
    long min = unsigned ? 0 : -1L << (bits - 1);
    long max = unsigned ? (1L << bits) - 1 : (bits == 64 ? Long.MAX_VALUE : (1L << (bits - 1)) - 1);
    for (long value : array.longs()) {
      if (value < min || value > max) {
        throw wrongType(input, array, ", and " + value + " does not fit it");
      }
      switch (wanted.size()) {
        case 1 -> bytes.put((byte) value);
        case 2 -> bytes.putShort((short) value);
        case 4 -> bytes.putInt((int) value);
        default -> bytes.putLong(value);
      }
    }
  }

  private static PerformerException wrongType(TensorSpec input, NpyArray array, String why) {
    return new PerformerException(
        "the input %s must be %s, not %s%s"
            .formatted(input.name(), input.typeName(), array.type().label(), why));
  }

  private static boolean isFloating(NpyType type) {
    return type == NpyType.FLOAT32 || type == NpyType.FLOAT64;
  }

  private static boolean isHalf(DataType type) {
    return type == DataType.DT_HALF || type == DataType.DT_BFLOAT16;
  }

  private static Tensor half(TensorSpec input, NpyArray array) {
    if (!isFloating(array.type())) {
      throw wrongType(input, array, "");
    }
    Shape shape = Shape.of(array.shape());
    float[] values = array.floats();
    return input.type() == DataType.DT_HALF
        ? TFloat16.tensorOf(shape, DataBuffers.of(values))
        : TBfloat16.tensorOf(shape, DataBuffers.of(values));
  }

  /** A copy of a tensor. */
  static NpyArray toArray(String name, Tensor tensor) {
    long[] shape = tensor.shape().asArray();
    if (isHalf(tensor.dataType())) {
      float[] values = new float[Math.toIntExact(tensor.shape().size())];
      if (tensor instanceof TFloat16 half) {
        half.copyTo(DataBuffers.of(values, false, false));
      } else {
        ((TBfloat16) tensor).copyTo(DataBuffers.of(values, false, false));
      }
      return NpyArray.of(values, shape);
    }
    NpyType type = TYPES.get(tensor.dataType());
    if (type == null) {
      throw new PerformerException(
          "the output " + name + " came as " + TensorSpec.typeName(tensor.dataType()));
    }
    return new NpyArray(type, shape, Tensors.bytes(tensor));
  }
}
