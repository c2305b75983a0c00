package dev.performer.training;

import java.util.Arrays;

/**
 * What a model sees and what it should say.
 *
 * @param rows B
 * @param length L
 * @param inputs token ids, {@code [B * L]}
 * @param mask 1 for real tokens, 0 for padding, {@code [B * L]}
 * @param targets the right token ids, {@code [B * L]}, or one class a row, {@code [B]}
 * @param weights how much each position counts; 0 where nothing is to be guessed, as many as
 *     targets
 */
public record LabelledBatch(
    int rows, int length, int[] inputs, int[] mask, int[] targets, float[] weights) {

  /** Tokens that are not padding. */
  public long realTokens() {
    long sum = 0;
    for (int real : mask) {
      sum += real;
    }
    return sum;
  }

  /** Targets of a row: L, or 1. */
  public int guesses() {
    return targets.length / rows;
  }

  /** Whether any target counts. */
  boolean hasGuesses() {
    for (float weight : weights) {
      if (weight > 0) {
        return true;
      }
    }
    return false;
  }

  /** The same with its rows once more, at weight 0, until there are as many as this. */
  LabelledBatch repeatedTo(int rows) {
    LabelledBatch result = withRows(rows);
    for (int row = this.rows; row < rows; row++) {
      int from = row % this.rows;
      System.arraycopy(inputs, from * length, result.inputs, row * length, length);
      System.arraycopy(mask, from * length, result.mask, row * length, length);
      System.arraycopy(targets, from * guesses(), result.targets, row * guesses(), guesses());
    }
    return result;
  }

  /** The same with rows of zeros and weight 0 added, for a model that takes this many rows only. */
  LabelledBatch withRows(int rows) {
    int size = rows * length;
    return new LabelledBatch(
        rows,
        length,
        Arrays.copyOf(inputs, size),
        Arrays.copyOf(mask, size),
        Arrays.copyOf(targets, rows * guesses()),
        Arrays.copyOf(weights, rows * guesses()));
  }
}
