package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.function.DoubleUnaryOperator;

/**
 * The element types of foreign files, and how the narrow ones become float32. Complex numbers
 * become their real and imaginary parts in a last dimension of 2.
 */
enum ElementType {
  FLOAT64(NpyType.FLOAT64),
  FLOAT32(NpyType.FLOAT32),
  FLOAT16(2),
  BFLOAT16(2),
  FLOAT8_E5M2(1),
  FLOAT8_E4M3(1),
  INT64(NpyType.INT64),
  INT32(NpyType.INT32),
  INT16(NpyType.INT16),
  INT8(NpyType.INT8),
  UINT64(8),
  UINT32(NpyType.UINT32),
  UINT16(NpyType.UINT16),
  UINT8(NpyType.UINT8),
  BOOL(NpyType.BOOL),
  COMPLEX64(8),
  COMPLEX128(16);

  private final NpyType same;
  private final int bytes;

  ElementType(NpyType same) {
    this.same = same;
    this.bytes = same.size();
  }

  ElementType(int bytes) {
    this.same = null;
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  int bytes() {
    return bytes;
  }

  /** The name a person uses: {@code bfloat16}. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The type of NumPy's name for it. */
  static Optional<ElementType> of(String label) {
    return Arrays.stream(values()).filter(type -> type.label().equals(label)).findFirst();
  }

  boolean isComplex() {
    return this == COMPLEX64 || this == COMPLEX128;
  }

  /** Turns the numbers that msgpack itself holds, big endian, into what {@link #array} takes. */
  void reverse(byte[] elements) {
    int size = isComplex() ? bytes / 2 : bytes;
    for (int start = 0; start < elements.length; start += size) {
      for (int i = start, j = start + size - 1; i < j; i++, j--) {
        byte swapped = elements[i];
        elements[i] = elements[j];
        elements[j] = swapped;
      }
    }
    if (this == BOOL) {
      elements[0] &= 1; // its false and true are the bytes c2 and c3
    }
  }

  /**
   * The array of little endian elements; the narrow floats become float32, uint64 becomes int64.
   *
   * @param where file and tensor, for errors
   * @throws PerformerException if a uint64 does not fit int64
   */
  NpyArray array(byte[] elements, long[] shape, String where) {
    if (same != null) {
      return new NpyArray(same, shape, elements);
    }
    if (isComplex()) {
      long[] parts = Arrays.copyOf(shape, shape.length + 1);
      parts[shape.length] = 2;
      return new NpyArray(this == COMPLEX64 ? NpyType.FLOAT32 : NpyType.FLOAT64, parts, elements);
    }
    ByteBuffer in = ByteBuffer.wrap(elements).order(ByteOrder.LITTLE_ENDIAN);
    if (this == UINT64) {
      while (in.hasRemaining()) {
        if (in.getLong() < 0) {
          throw new PerformerException(where + ": a uint64 is above the largest int64");
        }
      }
      return new NpyArray(NpyType.INT64, shape, elements);
    }
    float[] wide = new float[elements.length / bytes];
    for (int i = 0; i < wide.length; i++) {
      wide[i] =
          switch (this) {
            case FLOAT16 -> small(in.getShort() & 0xffff, 5, 10, true);
            case BFLOAT16 -> Float.intBitsToFloat((in.getShort() & 0xffff) << 16);
            case FLOAT8_E5M2 -> small(in.get() & 0xff, 5, 2, true);
            default -> small(in.get() & 0xff, 4, 3, false);
          };
    }
    return NpyArray.of(wide, shape);
  }

  /**
   * A float of fewer than 32 bits.
   *
   * @param hasInfinity whether the largest exponent means infinity and NaN as in IEEE 754; else
   *     only the pattern of all ones is NaN
   */
  private static float small(int bits, int exponentBits, int fractionBits, boolean hasInfinity) {
    int fraction = bits & ((1 << fractionBits) - 1);
    int largest = (1 << exponentBits) - 1;
    int exponent = (bits >> fractionBits) & largest;
    DoubleUnaryOperator sign = x -> (bits >> (exponentBits + fractionBits)) == 0 ? x : -x;
    if (exponent == largest && hasInfinity) {
      return fraction == 0 ? (float) sign.applyAsDouble(Double.POSITIVE_INFINITY) : Float.NaN;
    }
    if (exponent == largest && fraction == (1 << fractionBits) - 1) {
      return Float.NaN;
    }
    int bias = largest >> 1;
    double size =
        exponent == 0
            ? Math.scalb((double) fraction, 1 - bias - fractionBits)
            : Math.scalb((double) (fraction + (1 << fractionBits)), exponent - bias - fractionBits);
    return (float) sign.applyAsDouble(size);
  }

  /**
   * Bytes of a tensor of that shape.
   *
   * @param where file and tensor, for errors
   * @throws PerformerException if a dimension is negative or the product overflows
   */
  long bytesOf(long[] shape, String where) {
    long n = bytes;
    try {
      for (long d : shape) {
        if (d < 0) {
          throw new PerformerException(where + ": negative dimension " + d);
        }
        n = Math.multiplyExact(n, d);
      }
    } catch (ArithmeticException e) {
      throw new PerformerException(where + ": the shape is impossibly large", e);
    }
    return n;
  }
}
