package dev.performer.graph;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.ByteDataBuffer;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TType;

/** Bulk copies between Java arrays and tensors. The caller closes every tensor it gets. */
public final class Tensors {
  private Tensors() {}

  /** A float32 tensor; {@code values} are copied. */
  public static TFloat32 of(float[] values, long... shape) {
    return TFloat32.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  /** A float64 tensor; {@code values} are copied. */
  public static TFloat64 of(double[] values, long... shape) {
    return TFloat64.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  /** An int32 tensor; {@code values} are copied. */
  public static TInt32 of(int[] values, long... shape) {
    return TInt32.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  /** An int64 tensor; {@code values} are copied. */
  public static TInt64 of(long[] values, long... shape) {
    return TInt64.tensorOf(Shape.of(shape), DataBuffers.of(values));
  }

  /**
   * A tensor of any numeric type from its bytes.
   *
   * @param type the element type
   * @param shape the shape
   * @param littleEndian all elements in C order; read from its position, which does not move
   */
  public static Tensor ofBytes(DataType type, Shape shape, ByteBuffer littleEndian) {
    Class<? extends TType> javaType = DataTypes.javaType(type);
    byte[] bytes = new byte[littleEndian.remaining()];
    littleEndian.duplicate().get(bytes);
    return Tensor.of(javaType, shape, DataBuffers.of(bytes));
  }

  /** All elements of a float32 tensor, in C order. */
  public static float[] floats(Tensor tensor) {
    float[] result = new float[Math.toIntExact(tensor.shape().size())];
    tensor.asRawTensor().data().asFloats().read(result);
    return result;
  }

  /** All elements of a float64 tensor, in C order. */
  public static double[] doubles(Tensor tensor) {
    double[] result = new double[Math.toIntExact(tensor.shape().size())];
    tensor.asRawTensor().data().asDoubles().read(result);
    return result;
  }

  /** All elements of an int32 tensor, in C order. */
  public static int[] ints(Tensor tensor) {
    int[] result = new int[Math.toIntExact(tensor.shape().size())];
    tensor.asRawTensor().data().asInts().read(result);
    return result;
  }

  /** All elements of an int64 tensor, in C order. */
  public static long[] longs(Tensor tensor) {
    long[] result = new long[Math.toIntExact(tensor.shape().size())];
    tensor.asRawTensor().data().asLongs().read(result);
    return result;
  }

  /** The bytes of a numeric tensor, in C order, little endian. */
  public static byte[] bytes(Tensor tensor) {
    ByteDataBuffer data = tensor.asRawTensor().data();
    byte[] result = new byte[Math.toIntExact(data.size())];
    data.read(result);
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new IllegalStateException("only little-endian machines are supported");
    }
    return result;
  }
}
