package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.TokenBatch;
import dev.performer.graph.NativeErrors;
import java.lang.reflect.Array;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.zip.Checksum;

/**
 * What a model sees and what it shall guess.
 *
 * @param rows B
 * @param length L
 * @param inputs token ids, {@code [B * L]}
 * @param mask 1 for real tokens, 0 for padding, {@code [B * L]}
 * @param targets the right token ids, {@code [B * L]}, or {@code [B * T]} of a decoder; or one
 *     class a row, {@code [B]}; empty where numbers are guessed
 * @param weights how much each position counts; 0 where nothing is to be guessed, as many as
 *     targets or numbers
 * @param numbers one a row, {@code [B]}; empty where ids are guessed
 * @param decoderMask 1 for real targets of a decoder, which reads them too, {@code [B * T]}; empty
 *     without one
 */
public record LabelledBatch(
    int rows,
    int length,
    int[] inputs,
    int[] mask,
    int[] targets,
    float[] weights,
    float[] numbers,
    int[] decoderMask) {

  /** Of a model with one stack that guesses ids. */
  public LabelledBatch(
      int rows, int length, int[] inputs, int[] mask, int[] targets, float[] weights) {
    this(rows, length, inputs, mask, targets, weights, new float[0], new int[0]);
  }

  /** The same with the shape and the mask of a batch of tokens. */
  static LabelledBatch of(TokenBatch batch, int[] inputs, int[] targets, float[] weights) {
    return new LabelledBatch(batch.rows(), batch.length(), inputs, batch.mask(), targets, weights);
  }

  /** Tokens that are not padding, of encoder and decoder. */
  public long realTokens() {
    return Arrays.stream(mask).asLongStream().sum()
        + Arrays.stream(decoderMask).asLongStream().sum();
  }

  /** Targets of a row: L, T, or 1. */
  public int guesses() {
    return weights.length / rows;
  }

  /** Whether any target counts. */
  public boolean hasGuesses() {
    for (float weight : weights) {
      if (weight > 0) {
        return true;
      }
    }
    return false;
  }

  /** What to tell where a model could not run this batch. @param what was being done */
  public PerformerException failed(String what, RuntimeException e) {
    return new PerformerException(
        "%s failed on a batch of %d sequences of %d tokens; a smaller length or batch may help, if the model has a limit or memory is short: %s"
            .formatted(what, rows, length, NativeErrors.firstLine(e)),
        e);
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
  }

  /** The same with its rows once more, at weight 0, until there are as many as this. */
  LabelledBatch repeatedTo(int rows) {
    LabelledBatch result = withRows(rows);
    for (int row = this.rows; row < rows; row++) {
      int from = row % this.rows;
      copy(inputs, from, result.inputs, row);
      copy(mask, from, result.mask, row);
      copy(targets, from, result.targets, row);
      copy(decoderMask, from, result.decoderMask, row);
      copy(numbers, from, result.numbers, row);
    }
    return result;
  }

  private void copy(Object all, int from, Object into, int row) {
    int each = Array.getLength(all) / rows;
    System.arraycopy(all, from * each, into, row * each, each);
  }

  /** The same with rows of zeros and weight 0 added, for a model that takes this many rows only. */
  LabelledBatch withRows(int rows) {
    return new LabelledBatch(
        rows,
        length,
        Arrays.copyOf(inputs, inputs.length / this.rows * rows),
        Arrays.copyOf(mask, mask.length / this.rows * rows),
        Arrays.copyOf(targets, targets.length / this.rows * rows),
        Arrays.copyOf(weights, weights.length / this.rows * rows),
        Arrays.copyOf(numbers, numbers.length / this.rows * rows),
        Arrays.copyOf(decoderMask, decoderMask.length / this.rows * rows));
  }
}
