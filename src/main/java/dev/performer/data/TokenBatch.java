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
    this(length, tokens, lengths, keys, position, unlabelled(lengths.length));
  }

  /** Rows padded with an id, longer ones cut. */
  static TokenBatch padded(
      List<int[]> rows,
      int length,
      int pad,
      long[] keys,
      BatchPosition position,
      List<Label> labels) {
    int[] tokens = new int[rows.size() * length];
    Arrays.fill(tokens, pad);
    int[] lengths = new int[rows.size()];
    for (int row = 0; row < lengths.length; row++) {
      lengths[row] = Math.min(length, rows.get(row).length);
      System.arraycopy(rows.get(row), 0, tokens, row * length, lengths[row]);
    }
    return new TokenBatch(length, tokens, lengths, keys, position, labels);
  }

  static List<Label> unlabelled(int rows) {
    return Collections.nCopies(rows, Label.NONE);
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

  /** The class of each row, {@code [B]}. @throws PerformerException if a row has none */
  public int[] categories() {
    int[] categories = new int[rows()];
    for (int row = 0; row < categories.length; row++) {
      categories[row] = label(row, Label.Category.class, "class").id();
    }
    return categories;
  }

  /** The number of each row, {@code [B]}. @throws PerformerException if a row has none */
  public float[] values() {
    float[] values = new float[rows()];
    for (int row = 0; row < values.length; row++) {
      values[row] = label(row, Label.Value.class, "number").value();
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
    int[][] targets = new int[rows()][];
    for (int row = 0; row < targets.length; row++) {
      targets[row] = label(row, Label.Target.class, "target sequence").tokens();
    }
    return padded(List.of(targets), length, pad, keys, position, unlabelled(rows()));
  }

  private <T extends Label> T label(int row, Class<T> kind, String what) {
    if (!kind.isInstance(labels.get(row))) {
      throw new PerformerException(
          "the data has examples without a " + what + "; name its label column or array");
    }
    return kind.cast(labels.get(row));
  }
}
