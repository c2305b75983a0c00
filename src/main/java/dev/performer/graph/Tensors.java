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

/**
 * Bulk copies between Java arrays and tensors, all elements in C order. The caller closes every
 * tensor it gets.
 */
public final class Tensors {
  private Tensors() {}

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
    byte[] bytes = new byte[littleEndian.remaining()];
    littleEndian.duplicate().get(bytes);
    return Tensor.of(DataTypes.javaType(type), shape, DataBuffers.of(bytes));
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
    ByteDataBuffer data = tensor.asRawTensor().data();
    byte[] result = new byte[Math.toIntExact(data.size())];
    data.read(result);
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new IllegalStateException("only little-endian machines are supported");
    }
    return result;
  }
}
