package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * One NumPy array.
 *
 * @param shape empty for a scalar
 * @param bytes elements in C order, little endian; of texts, the length of each as an int in front
 */
public record NpyArray(NpyType type, long[] shape, byte[] bytes) {
  /** Checks that the number of bytes fits the shape. */
  public NpyArray {
    long expected = type == NpyType.STRING ? stringBytes(shape, bytes) : bytes(type, shape);
    if (expected != bytes.length) {
      throw new IllegalArgumentException(
          "shape %s of %s needs %s bytes, not %s"
              .formatted(Arrays.toString(shape), type.label(), expected, bytes.length));
    }
  }

  /** A float32 array; {@code values} are copied. */
  public static NpyArray of(float[] values, long... shape) {
    return of(NpyType.FLOAT32, shape, values.length, bytes -> bytes.asFloatBuffer().put(values));
  }

  /** A float64 array; {@code values} are copied. */
  public static NpyArray of(double[] values, long... shape) {
    return of(NpyType.FLOAT64, shape, values.length, bytes -> bytes.asDoubleBuffer().put(values));
  }

  /** A float64 number. */
  public static NpyArray of(double value) {
    return of(new double[] {value});
  }

  /** An int32 array; {@code values} are copied. */
  public static NpyArray of(int[] values, long... shape) {
    return of(NpyType.INT32, shape, values.length, bytes -> bytes.asIntBuffer().put(values));
  }

  /** An int64 array; {@code values} are copied. */
  public static NpyArray of(long[] values, long... shape) {
    return of(NpyType.INT64, shape, values.length, bytes -> bytes.asLongBuffer().put(values));
  }

  /** An array of texts or other bytes. */
  public static NpyArray of(List<byte[]> strings, long... shape) {
    long expected = LongStream.of(shape).reduce(1, Math::multiplyExact);
    if (expected != strings.size()) {
      String text = "shape %s needs %d strings, not %d";
      throw new IllegalArgumentException(
          text.formatted(Arrays.toString(shape), expected, strings.size()));
    }
    int size = strings.stream().mapToInt(s -> 4 + s.length).reduce(0, Math::addExact);
    ByteBuffer all = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    strings.forEach(string -> all.putInt(string.length).put(string));
    return new NpyArray(NpyType.STRING, shape.clone(), all.array());
  }

  private static NpyArray of(NpyType type, long[] shape, int size, Consumer<ByteBuffer> fill) {
    byte[] bytes = new byte[Math.multiplyExact(size, type.size())];
    fill.accept(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
    return new NpyArray(type, shape.clone(), bytes);
  }

  /** Number of elements. */
  public int size() {
    return Math.toIntExact(LongStream.of(shape).reduce(1, Math::multiplyExact));
  }

  /** The elements as bytes. @throws PerformerException if this holds numbers */
  public List<byte[]> strings() {
    require(type == NpyType.STRING, "expected texts, found %s", type.label());
    ByteBuffer rest = buffer();
    List<byte[]> strings = new ArrayList<>();
    while (rest.hasRemaining()) {
      byte[] string = new byte[rest.getInt()];
      rest.get(string);
      strings.add(string);
    }
    return strings;
  }

  /** Some of the rows along the first dimension. */
  public NpyArray rows(int from, int to) {
    if (from == 0 && to == shape[0]) {
      return this;
    }
    long[] part = shape.clone();
    part[0] = to - from;
    int row = shape[0] == 0 ? 0 : (int) (size() / shape[0]); // elements
    if (type == NpyType.STRING) {
      return of(strings().subList(from * row, to * row), part);
    }
    int size = row * type.size();
    return new NpyArray(type, part, Arrays.copyOfRange(bytes, from * size, to * size));
  }

  /** A row alone, without the first dimension. */
  public NpyArray row(int place) {
    NpyArray one = rows(place, place + 1);
    return new NpyArray(type, Arrays.copyOfRange(shape, 1, shape.length), one.bytes);
  }

  /** The same as the only row of an array. */
  public NpyArray asRow() {
    long[] one = new long[shape.length + 1];
    one[0] = 1;
    System.arraycopy(shape, 0, one, 1, shape.length);
    return new NpyArray(type, one, bytes);
  }

  /** Arrays of one type below each other, which differ in their first dimension alone. */
  public static NpyArray join(List<NpyArray> parts) {
    long[] shape = parts.get(0).shape.clone();
    shape[0] = parts.stream().mapToLong(part -> part.shape[0]).sum();
    int size = parts.stream().mapToInt(part -> part.bytes.length).reduce(0, Math::addExact);
    ByteBuffer all = ByteBuffer.allocate(size);
    parts.forEach(part -> all.put(part.bytes));
    return new NpyArray(parts.get(0).type, shape, all.array());
  }

  /** The elements, little endian; a view of {@link #bytes()}. */
  public ByteBuffer buffer() {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The elements as floats. @throws PerformerException if this holds text */
  public float[] floats() {
    if (type == NpyType.FLOAT32) {
      float[] same = new float[size()];
      buffer().asFloatBuffer().get(same);
      return same;
    }
    double[] wide = doubles();
    float[] result = new float[wide.length];
    for (int i = 0; i < wide.length; i++) {
      result[i] = (float) wide[i];
    }
    return result;
  }

  /** The elements as doubles. @throws PerformerException if this holds text */
  public double[] doubles() {
    IntStream places = IntStream.range(0, size());
    return switch (type) {
      case FLOAT32 -> places.mapToDouble(buffer().asFloatBuffer()::get).toArray();
      case FLOAT64 -> places.mapToDouble(buffer().asDoubleBuffer()::get).toArray();
      default -> LongStream.of(longs()).asDoubleStream().toArray();
    };
  }

  /** The elements as ints. @throws PerformerException if an element is no int */
  public int[] ints() {
    long[] wide = longs();
    int[] result = new int[wide.length];
    for (int i = 0; i < wide.length; i++) {
      result[i] = (int) wide[i];
      if (result[i] != wide[i] && type != NpyType.UINT32) {
        throw new PerformerException(
            "the value " + wide[i] + " at flat index " + i + " does not fit int32");
      }
    }
    return result;
  }

  /** The elements as longs. @throws PerformerException if this is a floating point array */
  public long[] longs() {
    ByteBuffer b = buffer();
    long[] result = new long[size()];
    for (int i = 0; i < result.length; i++) {
      result[i] =
          switch (type) {
            case INT32 -> b.getInt();
            case INT64 -> b.getLong();
            case INT16 -> b.getShort();
            case INT8 -> b.get();
            case UINT8, BOOL -> b.get() & 0xff;
            case UINT16 -> b.getShort() & 0xffff;
            case UINT32 -> b.getInt() & 0xffffffffL;
            case FLOAT32, FLOAT64, STRING ->
                throw new PerformerException("expected whole numbers, found " + type.label());
          };
    }
    return result;
  }

  /** Bytes of an array. @throws ArithmeticException if they do not fit a long */
  static long bytes(NpyType type, long[] shape) {
    if (LongStream.of(shape).anyMatch(size -> size < 0)) {
      throw new IllegalArgumentException("negative dimension in " + Arrays.toString(shape));
    }
    return Math.multiplyExact(LongStream.of(shape).reduce(1, Math::multiplyExact), type.size());
  }

  private static long stringBytes(long[] shape, byte[] bytes) {
    ByteBuffer rest = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (long left = bytes(NpyType.INT8, shape); left > 0; left--) {
      int length = rest.remaining() < Integer.BYTES ? -1 : rest.getInt();
      if (length < 0 || length > rest.remaining()) {
        return -1;
      }
      rest.position(rest.position() + length);
    }
    return rest.position();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof NpyArray that
        && type == that.type
        && Arrays.equals(shape, that.shape)
        && Arrays.equals(bytes, that.bytes);
  }

  @Override
  public int hashCode() {
    return Objects.hash(type, Arrays.hashCode(shape), Arrays.hashCode(bytes));
  }

  @Override
  public String toString() {
    return type.label() + Arrays.toString(shape);
  }
}
