package dev.performer.data;

import dev.performer.PerformerException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * One NumPy array: type, shape (empty for a scalar), elements in C order, little endian; of strings
 * each is its length, an int32, and its bytes.
 */
public record NpyArray(NpyType type, long[] shape, byte[] bytes) {
  /** Checks that the number of bytes fits the shape. */
  public NpyArray {
    boolean isText = type == NpyType.STRING;
    long expected = isText ? end(bytes, 0, elements(shape)) : bytes(type, shape);
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

  /** An int32 array; {@code values} are copied. */
  public static NpyArray of(int[] values, long... shape) {
    return of(NpyType.INT32, shape, values.length, bytes -> bytes.asIntBuffer().put(values));
  }

  /** An int64 array; {@code values} are copied. */
  public static NpyArray of(long[] values, long... shape) {
    return of(NpyType.INT64, shape, values.length, bytes -> bytes.asLongBuffer().put(values));
  }

  /** An array of byte strings, which are copied. */
  public static NpyArray of(byte[][] strings, long... shape) {
    int size = 0;
    for (byte[] string : strings) {
      size = Math.addExact(size, Math.addExact(Integer.BYTES, string.length));
    }
    ByteBuffer all = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    for (byte[] string : strings) {
      all.putInt(string.length).put(string);
    }
    return new NpyArray(NpyType.STRING, shape.clone(), all.array());
  }

  /** Arrays of one type and of shapes that differ in the first dimension, below each other. */
  public static NpyArray joined(List<NpyArray> parts) {
    if (parts.size() == 1) {
      return parts.get(0);
    }
    long[] shape = parts.get(0).shape.clone();
    shape[0] = parts.stream().mapToLong(part -> part.shape[0]).sum();
    int size = parts.stream().mapToInt(part -> part.bytes.length).reduce(0, Math::addExact);
    ByteBuffer all = ByteBuffer.allocate(size);
    parts.forEach(part -> all.put(part.bytes));
    return new NpyArray(parts.get(0).type, shape, all.array());
  }

  /** Some rows, those of the first dimension. */
  public NpyArray rows(int first, int count) {
    if (first == 0 && count == shape[0]) {
      return this;
    }
    long[] part = shape.clone();
    part[0] = 1;
    long row = elements(part);
    part[0] = count;
    boolean isText = type == NpyType.STRING;
    int from = isText ? end(bytes, 0, first * row) : Math.toIntExact(first * row * type.size());
    int to = isText ? end(bytes, from, count * row) : from + Math.toIntExact(bytes(type, part));
    return new NpyArray(type, part, Arrays.copyOfRange(bytes, from, to));
  }

  private static NpyArray of(NpyType type, long[] shape, int size, Consumer<ByteBuffer> fill) {
    byte[] bytes = new byte[Math.multiplyExact(size, type.size())];
    fill.accept(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
    return new NpyArray(type, shape.clone(), bytes);
  }

  /** Number of elements. */
  public int size() {
    return type == NpyType.STRING ? (int) elements(shape) : bytes.length / type.size();
  }

  /** The elements of an array of strings. @throws PerformerException if it holds numbers */
  public byte[][] strings() {
    if (type != NpyType.STRING) {
      throw new PerformerException("expected strings, found " + type.label());
    }
    ByteBuffer all = buffer();
    byte[][] strings = new byte[size()][];
    for (int i = 0; i < strings.length; i++) {
      strings[i] = new byte[all.getInt()];
      all.get(strings[i]);
    }
    return strings;
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
    return Math.multiplyExact(elements(shape), type.size());
  }

  private static long elements(long[] shape) {
    if (LongStream.of(shape).anyMatch(size -> size < 0)) {
      throw new IllegalArgumentException("negative dimension in " + Arrays.toString(shape));
    }
    return LongStream.of(shape).reduce(1, Math::multiplyExact);
  }

  /** Where so many strings end, the first of which begins at a place; -1 if they are not there. */
  private static int end(byte[] strings, int start, long count) {
    ByteBuffer all = ByteBuffer.wrap(strings).order(ByteOrder.LITTLE_ENDIAN).position(start);
    for (long i = 0; i < count; i++) {
      int length = all.remaining() < Integer.BYTES ? -1 : all.getInt();
      if (length < 0 || length > all.remaining()) {
        return -1;
      }
      all.position(all.position() + length);
    }
    return all.position();
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
