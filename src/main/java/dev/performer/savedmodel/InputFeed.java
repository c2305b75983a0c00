package dev.performer.savedmodel;

import dev.performer.PerformerException;
import java.util.List;
import java.util.Locale;
import org.tensorflow.proto.DataType;

/** What an input of a signature takes, by name and shape, where sequences are all there is. */
public enum InputFeed {
  /** 1 where a token is real. */
  MASK,
  /** 0, 1, 2 … of each row. */
  POSITIONS,
  /** Real tokens of each row, {@code [B]}. */
  LENGTHS,
  /** 0, such as token types, and the answer to whether it is training. */
  ZEROS;

  /** Of any input but the tokens. @throws PerformerException if sequences do not give it */
  public static InputFeed of(TensorSpec input) {
    int rank = input.shape().isUnknown() ? 2 : input.shape().numDimensions();
    if (rank > 2 || input.type() == DataType.DT_STRING || !ArrayConversion.isKnown(input.type())) {
      String text =
          "the input %s is nothing that sequences give, which is [B, L]; predict takes an array for each input";
      throw new PerformerException(text.formatted(input));
    }
    boolean isRow = rank == 2;
    boolean isPlace = has(input, "position") && !input.type().name().contains("BOOL");
    return isRow && isPlace
        ? POSITIONS
        : isRow && has(input, "mask") ? MASK : rank == 1 && has(input, "len") ? LENGTHS : ZEROS;
  }

  /** Whether its name is that of a mask over tokens. */
  public static boolean isMask(TensorSpec input) {
    return input.shape().numDimensions() != 1 && has(input, "mask") && !has(input, "position");
  }

  /** Whether no name stands against whole numbers {@code [B, L]} being token ids. */
  public static boolean mayBeTokens(TensorSpec input) {
    boolean isType = has(input, "segment") || has(input, "type");
    return of(input) == ZEROS && !isMask(input) && !isType;
  }

  private static boolean has(TensorSpec input, String part) {
    return input.name().toLowerCase(Locale.ROOT).contains(part);
  }

  /**
   * The values of an input as whole numbers, in its shape.
   *
   * @param real 1 where a token is real, {@code [rows, length]}
   * @return of {@code [rows, length]}, {@code [rows]} or a scalar
   */
  public int[] values(TensorSpec input, int[] real, int rows, int length) {
    int rank = input.shape().isUnknown() ? 2 : input.shape().numDimensions();
    int[] values = this == MASK ? real : new int[rank == 2 ? real.length : rank == 1 ? rows : 1];
    for (int r = 0; r < rows && (this == POSITIONS || this == LENGTHS); r++) {
      int first = 0; // where padding ends that stands in front
      while (first < length - 1 && real[r * length + first] == 0) {
        first++;
      }
      for (int i = 0; i < length; i++) {
        if (this == POSITIONS) {
          values[r * length + i] = Math.max(0, i - first);
        } else {
          values[r] += real[r * length + i];
        }
      }
    }
    return values;
  }

  /** The shape of {@link #values}. */
  public static long[] shape(TensorSpec input, int rows, int length) {
    int rank = input.shape().isUnknown() ? 2 : input.shape().numDimensions();
    return List.of(new long[0], new long[] {rows}, new long[] {rows, length}).get(rank);
  }
}
