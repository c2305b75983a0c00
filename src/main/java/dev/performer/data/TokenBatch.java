package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Token sequences of one batch, padded at their ends.
 *
 * @param length L, the padded length
 * @param tokens ids, row by row, {@code [B * L]}
 * @param lengths real tokens in each row, {@code [B]}
 * @param keys a number per row that is the same whenever the same sequence is drawn in the same
 *     epoch, whatever the batches are like, {@code [B]}
 * @param position where the batch stands
 * @param labels of each row, {@code [B]}
 */
public record TokenBatch(
    int length,
    int[] tokens,
    int[] lengths,
    long[] keys,
    BatchPosition position,
    List<Label> labels) {

  /** Without labels. */
  public TokenBatch(int length, int[] tokens, int[] lengths, long[] keys, BatchPosition position) {
    this(length, tokens, lengths, keys, position, Collections.nCopies(lengths.length, Label.NONE));
  }

  /** B, the number of sequences. */
  public int rows() {
    return lengths.length;
  }

  /** 1 for each real token and 0 for padding, {@code [B * L]}. */
  public int[] mask() {
    int[] mask = new int[tokens.length];
    for (int row = 0; row < rows(); row++) {
      Arrays.fill(mask, row * length, row * length + lengths[row], 1);
    }
    return mask;
  }

  /**
   * The class of each row, {@code [B]}.
   *
   * @throws PerformerException if a row has none
   */
  public int[] categories() {
    return labels.stream()
        .mapToInt(
            label -> label instanceof Label.Category category ? category.id() : missing("class"))
        .toArray();
  }

  /**
   * The number of each row, {@code [B]}.
   *
   * @throws PerformerException if a row has none
   */
  public float[] values() {
    float[] values = new float[rows()];
    for (int row = 0; row < values.length; row++) {
      values[row] =
          labels.get(row) instanceof Label.Value number ? number.value() : missing("number");
    }
    return values;
  }

  /**
   * How much the guess of each token counts, {@code [B * L]}: 1 where a row has no weights of its
   * own, 0 at padding.
   */
  public float[] weights() {
    float[] weights = new float[tokens.length];
    for (int row = 0; row < rows(); row++) {
      int start = row * length;
      if (labels.get(row) instanceof Label.Weights own) {
        System.arraycopy(own.weights(), 0, weights, start, lengths[row]);
      } else {
        Arrays.fill(weights, start, start + lengths[row], 1);
      }
    }
    return weights;
  }

  /**
   * What a decoder has to write for each row, as a batch of its own with the same keys and
   * position.
   *
   * @param length L of the result; longer targets are cut
   * @param pad id of padding
   * @throws PerformerException if a row has no target
   */
  public TokenBatch targets(int length, int pad) {
    int[] ids = new int[rows() * length];
    Arrays.fill(ids, pad);
    int[] real = new int[rows()];
    for (int row = 0; row < real.length; row++) {
      if (!(labels.get(row) instanceof Label.Target target)) {
        throw missingLabel("target sequence");
      }
      real[row] = Math.min(length, target.tokens().length);
      System.arraycopy(target.tokens(), 0, ids, row * length, real[row]);
    }
    return new TokenBatch(length, ids, real, keys, position);
  }

  private static int missing(String what) {
    throw missingLabel(what);
  }

  private static PerformerException missingLabel(String what) {
    return new PerformerException(
        "the data has examples without a " + what + "; name its label column or array");
  }
}
