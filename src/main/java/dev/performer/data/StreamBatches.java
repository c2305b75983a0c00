package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.LongStream;

/**
 * All examples of a source one after the other, in their order, as one text that is cut into as
 * many equal parts as a batch has rows: each batch goes on where the one before ended, row by row,
 * until the parts end. A row has one token more than are read of it, which the last of these
 * guesses, and with which the next batch begins. For data that fit into memory.
 *
 * @see <a href="https://arxiv.org/abs/1901.02860">Transformer-XL, section 3.2</a>
 */
public final class StreamBatches implements Batches {
  private static final int LIMIT = 1 << 30;

  private final ExampleSource source;
  private final Vocabulary vocabulary;
  private final OptionalInt separator;
  private final int rows;
  private final int length;
  private int[] tokens; // of all examples, once they are read

  /**
   * @param separator behind each example, if there is one
   * @param length tokens that are read of a row
   */
  public StreamBatches(
      ExampleSource source, Vocabulary vocabulary, OptionalInt separator, int rows, int length) {
    this.source = source;
    this.vocabulary = vocabulary;
    this.separator = separator;
    this.rows = rows;
    this.length = length;
  }

  @Override
  public String name() {
    return source.name();
  }

  @Override
  public Vocabulary vocabulary() {
    return vocabulary;
  }

  @Override
  public DataStream<TokenBatch> epoch(long epoch, long index) {
    int part = tokens().length / rows;
    long count = (part - 1 + length - 1L) / length;
    return DataStream.of(
        LongStream.range(index, count)
            .mapToObj(i -> batch(part, Math.toIntExact(i * length), new BatchPosition(epoch, i)))
            .iterator());
  }

  private TokenBatch batch(int part, int from, BatchPosition position) {
    int size = Math.min(length + 1, part - from);
    int[] all = new int[rows * size];
    int[] lengths = new int[rows];
    int[] starts = new int[rows];
    long[] keys = new long[rows];
    Arrays.fill(lengths, size);
    Arrays.fill(starts, from);
    for (int row = 0; row < rows; row++) {
      System.arraycopy(tokens, row * part + from, all, row * size, size);
      keys[row] = Seeds.mix(row, position.epoch(), position.index());
    }
    var labels = Collections.nCopies(rows, Label.NONE);
    return new TokenBatch(size, all, lengths, keys, position, labels, starts);
  }

  private int[] tokens() {
    if (tokens == null) {
      tokens = read();
    }
    return tokens;
  }

  private int[] read() {
    List<int[]> parts = new ArrayList<>();
    long total = 0;
    try (DataStream<Example> examples = source.open()) {
      while (examples.hasNext()) {
        Example example = examples.next();
        boolean isPlain = example.label() instanceof Label.None;
        require(isPlain, "%s: examples with labels are no stream; leave truncate out", name());
        parts.add(example.tokens());
        total += example.tokens().length + (separator.isPresent() ? 1 : 0);
        require(total <= LIMIT, "%s has over %d tokens, too many for a stream", name(), LIMIT);
      }
    }
    String text = "%s has %d tokens, too few for %d streams";
    require(total >= 2L * rows, text, name(), total, rows);
    int[] all = new int[(int) total];
    int at = 0;
    for (int[] part : parts) {
      System.arraycopy(part, 0, all, at, part.length);
      at += part.length;
      if (separator.isPresent()) {
        all[at++] = separator.getAsInt();
      }
    }
    return all;
  }
}
