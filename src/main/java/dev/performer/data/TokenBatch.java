package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.ToIntFunction;
import java.util.stream.Stream;

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
 * @param starts where each row goes on in its stream, {@code [B]}: then its last token is only
 *     guessed, and read by the next batch. Empty for rows that stand alone
 */
public record TokenBatch(
    int length,
    int[] tokens,
    int[] lengths,
    long[] keys,
    BatchPosition position,
    List<Label> labels,
    int[] starts) {
  /** Of rows that stand alone. */
  public TokenBatch(
      int length,
      int[] tokens,
      int[] lengths,
      long[] keys,
      BatchPosition position,
      List<Label> labels) {
    this(length, tokens, lengths, keys, position, labels, new int[0]);
  }

  /** Without labels. */
  public TokenBatch(int length, int[] tokens, int[] lengths, long[] keys, BatchPosition position) {
    this(length, tokens, lengths, keys, position, Collections.nCopies(lengths.length, Label.NONE));
  }

  /** A row before padding, and the number that its random choices come from. */
  record Row(int[] tokens, Label label, long key) {}

  /** Rows padded with an id, longer ones cut. */
  static TokenBatch padded(List<Row> rows, int length, int pad, BatchPosition position) {
    int[] tokens = new int[rows.size() * length];
    Arrays.fill(tokens, pad);
    int[] lengths = new int[rows.size()];
    for (int row = 0; row < lengths.length; row++) {
      lengths[row] = Math.min(length, rows.get(row).tokens.length);
      System.arraycopy(rows.get(row).tokens, 0, tokens, row * length, lengths[row]);
    }
    long[] keys = rows.stream().mapToLong(Row::key).toArray();
    List<Label> labels = rows.stream().map(Row::label).toList();
    return new TokenBatch(length, tokens, lengths, keys, position, labels);
  }

  /** The rows of batches, each of as many as there may be of the length of its first. */
  static <T> List<List<T>> split(List<T> longestFirst, ToIntFunction<T> rows) {
    List<List<T>> batches = new ArrayList<>();
    for (int from = 0; from < longestFirst.size(); ) {
      int to = Math.min(longestFirst.size(), from + rows.applyAsInt(longestFirst.get(from)));
      batches.add(longestFirst.subList(from, to));
      from = to;
    }
    return batches;
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
    return labels(Label.Category.class, "class").mapToInt(Label.Category::id).toArray();
  }

  /** The number of each row, {@code [B]}. @throws PerformerException if a row has none */
  public float[] values() {
    List<Label.Value> numbers = labels(Label.Value.class, "number").toList();
    float[] values = new float[rows()];
    for (int row = 0; row < values.length; row++) {
      values[row] = numbers.get(row).value();
    }
    return values;
  }

  /** As many numbers of each row, {@code [B * K]}. @throws PerformerException if a row has none */
  public float[] numbers() {
    float[][] rows =
        labels(Label.Values.class, "number").map(Label.Values::values).toArray(float[][]::new);
    int columns = rows[0].length;
    float[] values = new float[rows.length * columns];
    for (int row = 0; row < rows.length; row++) {
      System.arraycopy(rows[row], 0, values, row * columns, columns);
    }
    return values;
  }

  /** The class of each token, −1 for none, {@code [B * L]}. */
  public int[] tags() {
    int[] tags = new int[tokens.length];
    Arrays.fill(tags, -1);
    int[] row = {0};
    labels(Label.Tags.class, "class of each token")
        .forEach(l -> System.arraycopy(l.ids(), 0, tags, row[0] * length, lengths[row[0]++]));
    return tags;
  }

  /** How much the guess of each token counts, {@code [B * L]}: 0 at padding, else 1 by default. */
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
   * What a decoder has to write for each row, cut to a length or padded, with the same keys.
   *
   * @throws PerformerException if a row has no target
   */
  public TokenBatch targets(int length, int pad) {
    List<Row> rows = new ArrayList<>();
    labels(Label.Target.class, "target sequence")
        .forEach(label -> rows.add(new Row(label.tokens(), Label.NONE, keys[rows.size()])));
    return padded(rows, length, pad, position);
  }

  private <T extends Label> Stream<T> labels(Class<T> kind, String what) {
    require(
        labels.stream().allMatch(kind::isInstance),
        "the data has examples without a %s; name its label column or array",
        what);
    return labels.stream().map(kind::cast);
  }
}
