package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static java.util.stream.Collectors.toUnmodifiableMap;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.TString;
import org.tensorflow.types.TUint16;
import org.tensorflow.types.TUint8;
import org.tensorflow.types.annotation.TensorType;
import org.tensorflow.types.family.TType;

/**
 * Tensors, which the caller closes, of Java arrays and back, in C order; the classes of their
 * types.
 */
public final class Tensors {
  // TensorFlow Java's own table is in a package that its module keeps to itself.
  private static final Map<DataType, Class<? extends TType>> CLASSES =
      Stream.of(
              TBfloat16.class,
              TBool.class,
              TFloat16.class,
              TFloat32.class,
              TFloat64.class,
              TInt32.class,
              TInt64.class,
              TString.class,
              TUint16.class,
              TUint8.class)
          .collect(toUnmodifiableMap(Tensors::dataType, Function.identity()));

  private Tensors() {}

  public static DataType dataType(Class<? extends TType> type) {
    return type.getAnnotation(TensorType.class).dataType();
  }

  /** A type as Python names it. */
  public static String typeName(DataType type) {
    return switch (type) {
      case DT_FLOAT -> "float32";
      case DT_DOUBLE -> "float64";
      case DT_HALF -> "float16";
      default -> type.name().substring("DT_".length()).toLowerCase(Locale.ROOT);
    };
  }

  /** The class of a type. @throws PerformerException if TensorFlow Java has none */
  public static Class<? extends TType> javaType(DataType type) {
    Class<? extends TType> javaType = CLASSES.get(type);
    require(javaType != null, "TensorFlow Java has no class for tensors of type %s", type);
    return javaType;
  }

  public static TFloat32 of(float[] values, long... shape) {
    return TFloat32.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  public static TFloat64 of(double[] values, long... shape) {
    return TFloat64.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  public static TInt32 of(int[] values, long... shape) {
    return TInt32.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  public static TInt64 of(long[] values, long... shape) {
    return TInt64.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  /** A tensor of any numeric type from its bytes, whose position does not move. */
  public static Tensor ofBytes(DataType type, Shape shape, ByteBuffer littleEndian) {
    if (littleEndian.hasArray()) {
      int start = littleEndian.arrayOffset() + littleEndian.position();
      var view = DataBuffers.of(littleEndian.array(), false, false);
      return Tensor.of(javaType(type), shape, view.slice(start, littleEndian.remaining()));
    }
    byte[] bytes = new byte[littleEndian.remaining()];
    littleEndian.duplicate().get(bytes);
    return Tensor.of(javaType(type), shape, DataBuffers.of(bytes, false, false));
  }

  public static float[] floats(Tensor tensor) {
    float[] result = new float[size(tensor)];
    tensor.asRawTensor().data().asFloats().read(result);
    return result;
  }

  public static double[] doubles(Tensor tensor) {
    double[] result = new double[size(tensor)];
    tensor.asRawTensor().data().asDoubles().read(result);
    return result;
  }

  public static long[] longs(Tensor tensor) {
    long[] result = new long[size(tensor)];
    tensor.asRawTensor().data().asLongs().read(result);
    return result;
  }

  private static int size(Tensor tensor) {
    return Math.toIntExact(tensor.shape().size());
  }

  /** The bytes of a numeric tensor, little endian. */
  public static byte[] bytes(Tensor tensor) {
    var data = tensor.asRawTensor().data();
    byte[] result = new byte[Math.toIntExact(data.size())];
    data.read(result);
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new IllegalStateException("only little-endian machines are supported");
    }
    return result;
  }
}
