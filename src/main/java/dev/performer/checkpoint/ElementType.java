package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.tensorflow.proto.DataType;

/** Element types of foreign files; the parts of complex numbers become a last dimension of 2. */
enum ElementType {
  FLOAT64("F64", DataType.DT_DOUBLE, NpyType.FLOAT64, 8),
  FLOAT32("F32", DataType.DT_FLOAT, NpyType.FLOAT32, 4),
  FLOAT16("F16", DataType.DT_HALF, null, 2),
  BFLOAT16("BF16", DataType.DT_BFLOAT16, null, 2),
  FLOAT8_E5M2("F8_E5M2", null, null, 1),
  FLOAT8_E4M3("F8_E4M3", null, null, 1),
  INT64("I64", DataType.DT_INT64, NpyType.INT64, 8),
  INT32("I32", DataType.DT_INT32, NpyType.INT32, 4),
  INT16("I16", DataType.DT_INT16, NpyType.INT16, 2),
  INT8("I8", DataType.DT_INT8, NpyType.INT8, 1),
  UINT64("U64", null, null, 8),
  UINT32("U32", null, NpyType.UINT32, 4),
  UINT16("U16", null, NpyType.UINT16, 2),
  UINT8("U8", DataType.DT_UINT8, NpyType.UINT8, 1),
  BOOL("BOOL", DataType.DT_BOOL, NpyType.BOOL, 1),
  COMPLEX64(null, null, null, 8),
  COMPLEX128(null, null, null, 16);

  private final String safetensors;
  private final DataType tensorFlow;
  private final NpyType same;
  final int bytes; // of one element

  ElementType(String safetensors, DataType tensorFlow, NpyType same, int bytes) {
    this.safetensors = safetensors;
    this.tensorFlow = tensorFlow;
    this.same = same;
    this.bytes = bytes;
  }

  private static Optional<ElementType> first(Predicate<ElementType> condition) {
    return Arrays.stream(values()).filter(condition).findFirst();
  }

  /** The type of NumPy's name for it. */
  static Optional<ElementType> of(String label) {
    return first(type -> type.label().equals(label));
  }

  static Optional<ElementType> of(DataType tensorFlow) {
    return first(type -> type.tensorFlow == tensorFlow);
  }

  static ElementType ofSafetensors(String name, String where) {
    List<String> known =
        Stream.of(values()).map(t -> t.safetensors).filter(n -> n != null).toList();
    String wrong = "%s: dtype %s is not supported; expected one of %s";
    require(known.contains(name), wrong, where, Excerpt.of(name), known);
    return first(type -> name.equals(type.safetensors)).orElseThrow();
  }

  /** The name a person uses: {@code bfloat16}. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Turns a number that msgpack itself holds, big endian, into what {@link #array} takes. */
  void reverse(byte[] number) {
    for (int i = 0, j = number.length - 1; i < j; i++, j--) {
      byte swapped = number[i];
      number[i] = number[j];
      number[j] = swapped;
    }
    if (this == BOOL) {
      number[0] &= 1; // its false and true are the bytes c2 and c3
    }
  }

  /** The array of little endian elements; narrow floats become float32, uint64 becomes int64. */
  NpyArray array(byte[] elements, long[] shape, String where) {
    if (same != null) {
      return new NpyArray(same, shape, elements);
    }
    if (this == COMPLEX64 || this == COMPLEX128) {
      long[] parts = Arrays.copyOf(shape, shape.length + 1);
      parts[shape.length] = 2;
      return new NpyArray(this == COMPLEX64 ? NpyType.FLOAT32 : NpyType.FLOAT64, parts, elements);
    }
    if (this == UINT64) {
      var signed = new NpyArray(NpyType.INT64, shape, elements);
      boolean fits = LongStream.of(signed.longs()).allMatch(x -> x >= 0);
      require(fits, "%s: a uint64 is above the largest int64", where);
      return signed;
    }
    ByteBuffer in = ByteBuffer.wrap(elements).order(ByteOrder.LITTLE_ENDIAN);
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

  /** A float of fewer than 32 bits. Without infinity, only the pattern of all ones is NaN. */
  private static float small(int bits, int exponentBits, int fractionBits, boolean hasInfinity) {
    int ones = (1 << fractionBits) - 1;
    int fraction = bits & ones;
    int largest = (1 << exponentBits) - 1;
    int exponent = (bits >> fractionBits) & largest;
    int sign = bits >> (exponentBits + fractionBits) == 0 ? 1 : -1;
    if (exponent == largest && (hasInfinity || fraction == ones)) {
      return hasInfinity && fraction == 0 ? sign * Float.POSITIVE_INFINITY : Float.NaN;
    }
    float significand = exponent == 0 ? fraction : fraction + ones + 1; // subnormals lack the 1
    return sign * Math.scalb(significand, Math.max(1, exponent) - (largest >> 1) - fractionBits);
  }

  /** A tensor of this type; fails for a negative dimension and where the product overflows. */
  WeightFile.Info info(long[] shape, String where) {
    long size = bytes;
    for (long d : shape) {
      require(d >= 0, "%s: negative dimension %s", where, d);
      boolean fits = Math.multiplyHigh(size, d) == 0 && size * d >= 0;
      require(fits, "%s: the shape is impossibly large", where);
      size *= Math.max(1, d);
    }
    boolean isEmpty = LongStream.of(shape).anyMatch(d -> d == 0);
    return new WeightFile.Info(label(), shape, isEmpty ? 0 : size);
  }
}
