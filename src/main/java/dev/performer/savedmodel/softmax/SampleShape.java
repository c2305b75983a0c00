package dev.performer.savedmodel.softmax;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.InputFeed;
import dev.performer.savedmodel.TensorSpec;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import org.tensorflow.proto.DataType;

/**
 * A small input of any signature.
 *
 * @param rows where the first dimension is open
 * @param length where others are
 * @param padding the token that stands in for no token; −1 for none anywhere
 */
record SampleShape(int rows, int length, int padding) {
  /** Sizes that no two have in common; padding is 0 in most vocabularies, 1 in some. */
  static final List<SampleShape> ALL =
      List.of(new SampleShape(2, 5, -1), new SampleShape(3, 7, 0), new SampleShape(4, 6, 1));

  private static final int[] TOKENS = {2, 3};

  NpyArray values(TensorSpec input) {
    long[] shape = shape(input);
    int size = Math.toIntExact(LongStream.of(shape).reduce(1, Math::multiplyExact));
    Random random = new Random(input.name().hashCode() + 31L * rows);
    if (input.type() == DataType.DT_STRING) {
      return NpyArray.of(Collections.nCopies(size, new byte[0]), shape);
    }
    if (input.type() == DataType.DT_BOOL) {
      return new NpyArray(NpyType.BOOL, shape, bytes(mask(shape, size, random)));
    }
    if (input.isFloat()) {
      return NpyArray.of(floats(input, shape, size, random), shape);
    }
    return NpyArray.of(ints(input, shape, size, random), shape);
  }

  private long[] shape(TensorSpec input) {
    long[] open = input.shape().isUnknown() ? new long[] {-1, -1} : input.shape().asArray();
    for (int axis = 0; axis < open.length; axis++) {
      open[axis] = open[axis] >= 0 ? open[axis] : axis == 0 ? rows : length;
    }
    return open;
  }

  /** 1 where a token is real: the same for all inputs of two dimensions, the first always. */
  private int[] mask(long[] shape, int size, Random own) {
    int last = shape.length == 0 ? 1 : (int) shape[shape.length - 1];
    Random random = shape.length == 2 ? new Random(rows) : own;
    int[] real = new int[size];
    for (int i = 0; i < size; i++) {
      boolean isPadding = random.nextInt(3) == 0 && i % last > 0;
      real[i] = padding >= 0 && isPadding ? 0 : 1;
    }
    return real;
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  private float[] floats(TensorSpec input, long[] shape, int size, Random random) {
    int[] real = mask(shape, size, random);
    boolean isMask = input.name().contains("mask");
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = isMask ? real[i] : shape.length == 0 ? 1 : (float) random.nextGaussian();
    }
    return values;
  }

  private int[] ints(TensorSpec input, long[] shape, int size, Random random) {
    boolean isRow = shape.length == 2;
    if (shape.length > 2 || shape.length == 0) {
      return InputFeed.isMask(input) ? mask(shape, size, random) : new int[size];
    }
    int[] real = mask(new long[] {rows(shape), isRow ? shape[1] : length}, size(shape), random);
    if (!isRow || InputFeed.of(input) != InputFeed.ZEROS || !InputFeed.mayBeTokens(input)) {
      return InputFeed.of(input)
          .values(input, real, (int) rows(shape), real.length / (int) rows(shape));
    }
    int[] tokens = new int[size];
    for (int i = 0; i < size; i++) {
      tokens[i] = real[i] == 0 ? padding : TOKENS[random.nextInt(TOKENS.length)];
    }
    return tokens;
  }

  private static long rows(long... shape) {
    return shape[0];
  }

  private int size(long... shape) {
    return Math.toIntExact(shape[0] * (shape.length == 2 ? shape[1] : length));
  }
}
