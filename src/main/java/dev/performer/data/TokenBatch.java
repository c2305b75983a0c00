package dev.performer.data;

import java.util.Arrays;

/**
 * Token sequences of one batch, padded at their ends.
 *
 * @param length L, the padded length
 * @param tokens ids, row by row, {@code [B * L]}
 * @param lengths real tokens in each row, {@code [B]}
 * @param keys a number per row that is the same whenever the same sequence is drawn in the same
 *     epoch, whatever the batches are like, {@code [B]}
 * @param position where the batch stands
 */
public record TokenBatch(
    int length, int[] tokens, int[] lengths, long[] keys, BatchPosition position) {

  /** B, the number of sequences. */
  public int rows() {
    return lengths.length;
  }

  /** Tokens that are not padding. */
  public long realTokens() {
    long sum = 0;
    for (int n : lengths) {
      sum += n;
    }
    return sum;
  }

  /** 1 for each real token and 0 for padding, {@code [B * L]}. */
  public int[] mask() {
    int[] mask = new int[tokens.length];
    for (int row = 0; row < rows(); row++) {
      Arrays.fill(mask, row * length, row * length + lengths[row], 1);
    }
    return mask;
  }
}
