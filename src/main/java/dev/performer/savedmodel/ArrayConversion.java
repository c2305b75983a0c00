package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Tensors;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.FloatNdArray;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TString;

/** NumPy arrays to the tensors a signature takes, and back. */
final class ArrayConversion {
  // TensorFlow Java has no tensors of the other integer types.
  private static final Map<DataType, NpyType> TYPES =
      Map.of(
          DataType.DT_FLOAT, NpyType.FLOAT32,
          DataType.DT_DOUBLE, NpyType.FLOAT64,
          DataType.DT_INT32, NpyType.INT32,
          DataType.DT_INT64, NpyType.INT64,
          DataType.DT_UINT8, NpyType.UINT8,
          DataType.DT_UINT16, NpyType.UINT16,
          DataType.DT_BOOL, NpyType.BOOL);

  private ArrayConversion() {}

  static boolean isKnown(DataType type) {
    return TYPES.containsKey(type) || isHalf(type);
  }

  static void requireKnown(TensorSpec spec, String kind) {
    String message = "the %s %s is of type %s, which has no array here";
    boolean isString = spec.type() == DataType.DT_STRING;
    require(isString || isKnown(spec.type()), message, kind, spec.name(), spec.typeName());
  }

  static NpyArray zero(TensorSpec scalar) {
    requireKnown(scalar, "input");
    if (scalar.type() == DataType.DT_STRING) {
      return NpyArray.of(List.of(new byte[0]));
    }
    NpyType type = isHalf(scalar.type()) ? NpyType.FLOAT32 : TYPES.get(scalar.type());
    return new NpyArray(type, new long[0], new byte[type.size()]);
  }

  static Tensor toTensor(TensorSpec input, NpyArray array) {
    NpyArray fit = converted(input, array);
    Shape shape = Shape.of(fit.shape());
    return switch (input.type()) {
      case DT_STRING -> {
        byte[][] strings = fit.strings().toArray(byte[][]::new);
        yield TString.tensorOfBytes(shape, DataBuffers.of(strings, false, false));
      }
      case DT_HALF -> TFloat16.tensorOf(shape, DataBuffers.of(fit.floats(), false, false));
      case DT_BFLOAT16 -> TBfloat16.tensorOf(shape, DataBuffers.of(fit.floats(), false, false));
      default -> Tensors.ofBytes(input.type(), shape, fit.buffer());
    };
  }

  /** The array in the type of an input, float32 for half precision; its shape is checked. */
  static NpyArray converted(TensorSpec input, NpyArray array) {
    Shape shape = Shape.of(array.shape());
    if (!input.shape().isCompatibleWith(shape)) {
      String message = "the input %s must have shape %s, not " + TensorSpec.shapeText(shape);
      throw new PerformerException(message.formatted(input.name(), input.shapeText()));
    }
    requireKnown(input, "input");
    if (isHalf(input.type()) && !isFloating(array.type())) {
      throw wrongType(input, array, "");
    } else if (isHalf(input.type())) {
      return array.type() == NpyType.FLOAT32 ? array : NpyArray.of(array.floats(), array.shape());
    }
    boolean isText = input.type() == DataType.DT_STRING;
    NpyType wanted = isText ? NpyType.STRING : TYPES.get(input.type());
    return array.type() == wanted ? array : convert(input, array, wanted);
  }

  private static NpyArray convert(TensorSpec input, NpyArray array, NpyType wanted) {
    var own = EnumSet.of(wanted, array.type()); // convert to themselves only
    boolean isOwn = own.contains(NpyType.BOOL) || own.contains(NpyType.STRING);
    if (isOwn || isFloating(wanted) != isFloating(array.type())) {
      throw wrongType(input, array, "");
    }
    if (wanted == NpyType.FLOAT64) {
      return NpyArray.of(array.doubles(), array.shape());
    }
    int size = Math.multiplyExact(array.size(), wanted.size());
    ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    if (wanted == NpyType.FLOAT32) {
      for (double value : array.doubles()) {
        // Rounding is what everyone expects of float64 to float32; overflow to infinity is not.
        if (Double.isFinite(value) && Float.isInfinite((float) value)) {
          throw wrongType(input, array, ", and " + value + " does not fit it");
        }
        bytes.putFloat((float) value);
      }
      return new NpyArray(wanted, array.shape(), bytes.array());
    }
    for (long value : array.longs()) {
      long fit =
          switch (wanted) {
            case UINT8 -> value & 0xff;
            case UINT16 -> value & 0xffff;
            case INT32 -> (int) value;
            default -> value;
          };
      if (fit != value) {
        throw wrongType(input, array, ", and " + value + " does not fit it");
      }
      switch (wanted.size()) {
        case 1 -> bytes.put((byte) value);
        case 2 -> bytes.putShort((short) value);
        case 4 -> bytes.putInt((int) value);
        default -> bytes.putLong(value);
      }
    }
    return new NpyArray(wanted, array.shape(), bytes.array());
  }

  private static PerformerException wrongType(TensorSpec input, NpyArray array, String why) {
    String given = array.type().label() + why;
    return new PerformerException(
        "the input %s must be %s, not %s".formatted(input.name(), input.typeName(), given));
  }

  private static boolean isFloating(NpyType type) {
    return type == NpyType.FLOAT32 || type == NpyType.FLOAT64;
  }

  private static boolean isHalf(DataType type) {
    return type == DataType.DT_HALF || type == DataType.DT_BFLOAT16;
  }

  static NpyArray toArray(String name, Tensor tensor) {
    long[] shape = tensor.shape().asArray();
    if (tensor instanceof TString strings) {
      List<byte[]> elements = new ArrayList<>();
      strings.asBytes().scalars().forEach(element -> elements.add(element.getObject()));
      return NpyArray.of(elements, shape);
    }
    if (isHalf(tensor.dataType())) {
      float[] values = new float[Math.toIntExact(tensor.shape().size())];
      ((FloatNdArray) tensor).copyTo(DataBuffers.of(values, false, false));
      return NpyArray.of(values, shape);
    }
    NpyType type = TYPES.get(tensor.dataType());
    String given = Tensors.typeName(tensor.dataType());
    require(type != null, "the output %s came as %s", name, given);
    return new NpyArray(type, shape, Tensors.bytes(tensor));
  }
}
