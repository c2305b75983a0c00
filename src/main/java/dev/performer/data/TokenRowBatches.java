package dev.performer.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Batches of {@link TokenRows}: sequences of like length together, as many as fit into a number of
 * tokens, padding included. The order depends on seed and epoch alone.
 *
 * @param vocabulary null where it is not known what ids mean
 * @param tokens of a batch at most, unless one sequence has more
 * @param fixedLength all batches are padded to at least this
 */
public record TokenRowBatches(
    TokenRows data, Vocabulary vocabulary, int pad, int tokens, int fixedLength, long seed)
    implements Batches {
  private static final int ORDER = 11;
  private static final int BATCH_ORDER = 12;
  private static final int WINDOW = 64; // batches' worth, within which like lengths come together

  @Override
  public String name() {
    return data.name();
  }

  /** Every sequence once, the longest first; for evaluation. */
  public List<TokenBatch> inOrder() {
    return split(numbers()).stream().map(rows -> pack(rows, BatchPosition.START)).toList();
  }

  @Override
  public DataStream<TokenBatch> epoch(long epoch, long index) {
    List<Integer> order = new ArrayList<>(numbers());
    Seeds.shuffle(order, Seeds.random(seed, epoch, ORDER));
    double mean = data.rows().stream().mapToInt(row -> row.length).average().orElseThrow();
    int window = (int) Math.max(1, Math.min(order.size(), WINDOW * (tokens / mean)));
    List<List<Integer>> batches = new ArrayList<>();
    for (int from = 0; from < order.size(); from += window) {
      batches.addAll(split(order.subList(from, Math.min(order.size(), from + window))));
    }
    Seeds.shuffle(batches, Seeds.random(seed, epoch, BATCH_ORDER));
    return DataStream.of(
        LongStream.range(index, batches.size())
            .mapToObj(i -> pack(batches.get((int) i), new BatchPosition(epoch, i)))
            .iterator());
  }

  private List<Integer> numbers() {
    return IntStream.range(0, data.rows().size()).boxed().toList();
  }

  private List<List<Integer>> split(List<Integer> numbers) {
    var longestFirst =
        numbers.stream().sorted(Comparator.comparingInt(i -> -data.rows().get(i).length)).toList();
    return TokenBatch.split(longestFirst, i -> Math.max(1, tokens / padded(i)));
  }

  private int padded(int row) {
    return Math.max(fixedLength, data.rows().get(row).length);
  }

  private TokenBatch pack(List<Integer> numbers, BatchPosition position) {
    return TokenBatch.padded(
        numbers.stream().map(data.rows()::get).toList(),
        padded(numbers.get(0)),
        pad,
        numbers.stream().mapToLong(i -> Seeds.mix(seed, position.epoch(), i)).toArray(),
        position,
        TokenBatch.unlabelled(numbers.size()));
  }
}
