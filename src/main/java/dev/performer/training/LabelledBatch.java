package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenBatch;
import dev.performer.graph.NativeErrors;
import java.lang.reflect.Array;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.Checksum;

/**
 * What a model sees and what it shall guess.
 *
 * @param inputs token ids, {@code [B * L]}
 * @param mask 1 for real tokens, 0 for padding, {@code [B * L]}
 * @param targets the right token ids, {@code [B * L]}, or {@code [B * T]} of a decoder; or one
 *     class a row, {@code [B]}; empty where numbers are guessed
 * @param weights how much each position counts; 0 where nothing is to be guessed, as many as
 *     targets or numbers
 * @param numbers one a row, {@code [B]}; empty where ids are guessed
 * @param decoderMask 1 for real targets of a decoder, {@code [B * T]}; empty without one
 * @param starts the position of each row's first token, {@code [B]}; empty for 0
 * @param arrays {@code [B, …]}, or scalars, by the names of inputs and targets, in place of tokens
 *     and mask; empty for tokens
 */
public record LabelledBatch(
    int rows,
    int length,
    int[] inputs,
    int[] mask,
    int[] targets,
    float[] weights,
    float[] numbers,
    int[] decoderMask,
    int[] starts,
    Map<String, NpyArray> arrays) {
  private static final int[] NONE = {};

  /** Of tokens. */
  public LabelledBatch(
      int rows,
      int length,
      int[] inputs,
      int[] mask,
      int[] targets,
      float[] weights,
      float[] numbers,
      int[] decoderMask) {
    this(rows, length, inputs, mask, targets, weights, numbers, decoderMask, NONE, Map.of());
  }

  /** Of arrays; a row that counts has a weight above 0. */
  public static LabelledBatch of(
      int rows, int[] targets, float[] weights, float[] numbers, Map<String, NpyArray> arrays) {
    return new LabelledBatch(rows, 1, NONE, NONE, targets, weights, numbers, NONE, NONE, arrays);
  }

  /** Of a model with one stack that guesses ids. */
  public LabelledBatch(
      int rows, int length, int[] inputs, int[] mask, int[] targets, float[] weights) {
    this(rows, length, inputs, mask, targets, weights, new float[0], NONE);
  }

  /** The same with the shape and the mask of a batch of tokens. */
  static LabelledBatch of(TokenBatch batch, int[] inputs, int[] targets, float[] weights) {
    return new LabelledBatch(batch.rows(), batch.length(), inputs, batch.mask(), targets, weights);
  }

  /** A batch as it is with what is to be guessed, by a decoder if it has a mask. */
  static LabelledBatch of(
      TokenBatch in, int[] targets, float[] weights, float[] numbers, int[] decoder) {
    return new LabelledBatch(
        in.rows(), in.length(), in.tokens(), in.mask(), targets, weights, numbers, decoder);
  }

  /** Tokens that are not padding, of encoder and decoder; of arrays their rows. */
  public long realTokens() {
    return !arrays.isEmpty()
        ? rows
        : IntStream.of(mask).asLongStream().sum() + IntStream.of(decoderMask).asLongStream().sum();
  }

  /** Targets of a row: L, T, or 1. */
  public int guesses() {
    return weights.length / rows;
  }

  /** Whether any target counts. */
  public boolean hasGuesses() {
    return IntStream.range(0, weights.length).anyMatch(i -> weights[i] > 0);
  }

  /** What to tell where a model could not run this batch. @param what was being done */
  public PerformerException failed(String what, RuntimeException e) {
    String size =
        arrays.isEmpty()
            ? "%d sequences of %d tokens; a smaller length or"
            : "%d examples; a smaller";
    String text =
        "%s failed on a batch of %s batch may help, if the model has a limit or memory is short: %s";
    String cause = NativeErrors.firstLine(e);
    return new PerformerException(text.formatted(what, size.formatted(rows, length), cause), e);
  }

  /** Adds all that a model sees and guesses to a checksum. */
  public void addTo(Checksum sum) {
    for (int[] part : List.of(inputs, mask, targets, decoderMask)) {
      ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES * part.length);
      bytes.asIntBuffer().put(part);
      sum.update(bytes);
    }
    for (float[] part : List.of(weights, numbers)) {
      ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * part.length);
      bytes.asFloatBuffer().put(part);
      sum.update(bytes);
    }
    new TreeMap<>(arrays).values().forEach(array -> sum.update(array.bytes()));
  }

  /** Positions {@code from} to {@code to}, excluded, of what guesses each of its tokens. */
  LabelledBatch segment(int from, int to) {
    int[] first = new int[rows];
    for (int row = 0; row < rows; row++) {
      first[row] = from + (starts.length == 0 ? 0 : starts[row]);
    }
    return new LabelledBatch(
        rows,
        to - from,
        columns(inputs, from, to),
        columns(mask, from, to),
        columns(targets, from, to),
        columns(weights, from, to),
        numbers,
        decoderMask,
        first,
        arrays);
  }

  /** Without the last tokens, which are only guessed, of rows that go on at positions. */
  LabelledBatch goingOn(int[] positions) {
    return new LabelledBatch(
            rows, length, inputs, mask, targets, weights, numbers, decoderMask, positions, arrays)
        .segment(0, length - 1);
  }

  /** The position of each token, {@code [B * L]}. */
  int[] positions() {
    int[] positions = new int[rows * length];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = i % length + (starts.length == 0 ? 0 : starts[i / length]);
    }
    return positions;
  }

  /** Inputs and mask one place to the right, behind a first token that is real. */
  LabelledBatch shifted(int first) {
    int[] tokens = new int[inputs.length];
    int[] real = new int[mask.length];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = i % length == 0 ? first : inputs[i - 1];
      real[i] = i % length == 0 ? 1 : mask[i - 1];
    }
    return new LabelledBatch(
        rows, length, tokens, real, targets, weights, numbers, decoderMask, starts, arrays);
  }

  /** How many columns hold all that is real or counts; at least 1. */
  int usedLength() {
    int used = 1;
    for (int i = 0; i < mask.length; i++) {
      if (mask[i] != 0 || weights[i] != 0) {
        used = Math.max(used, i % length + 1);
      }
    }
    return used;
  }

  @SuppressWarnings({"unchecked", "SuspiciousSystemArraycopy"})
  private <T> T columns(T array, int from, int to) {
    int size = to - from;
    T result = (T) Array.newInstance(array.getClass().getComponentType(), rows * size);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(array, row * length + from, result, row * size, size);
    }
    return result;
  }

  /** The same with more rows, at weight 0: its own once more, or rows of zeros. */
  LabelledBatch withRows(int more, boolean repeated) {
    return new LabelledBatch(
        more,
        length,
        extended(inputs, more, repeated),
        extended(mask, more, repeated),
        extended(targets, more, repeated),
        extended(weights, more, false),
        extended(numbers, more, repeated),
        extended(decoderMask, more, repeated),
        extended(starts, more, repeated),
        arrays.entrySet().stream()
            .collect(
                Collectors.toMap(Map.Entry::getKey, e -> extended(e.getValue(), more, repeated))));
  }

  private NpyArray extended(NpyArray array, int more, boolean repeated) {
    if (array.shape().length == 0) { // the same for all rows
      return array;
    }
    long[] shape = array.shape().clone();
    shape[0] = more;
    return new NpyArray(array.type(), shape, extended(array.bytes(), more, repeated));
  }

  @SuppressWarnings({"unchecked", "SuspiciousSystemArraycopy"})
  private <T> T extended(T array, int more, boolean repeated) {
    int own = Array.getLength(array);
    int size = own / rows * more;
    T result = (T) Array.newInstance(array.getClass().getComponentType(), size);
    for (int at = 0; at < (repeated ? size : own); at += own) {
      System.arraycopy(array, 0, result, at, Math.min(own, size - at));
    }
    return result;
  }
}
