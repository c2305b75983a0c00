package dev.performer.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Batches of {@link TokenRows}: sequences of like length together, as many as fit into a number of
 * tokens, padding included. The order depends on seed and epoch alone.
 */
public final class TokenRowBatches {
  private static final int ORDER = 11;
  private static final int BATCH_ORDER = 12;

  /** Within so many batches' worth of sequences, those of like length are put together. */
  private static final int WINDOW = 64;

  private final TokenRows data;
  private final int pad;
  private final int tokens;
  private final int fixedLength;
  private final long seed;
  private long epoch = -1;
  private List<List<Integer>> batches; // of that epoch, numbers of rows

  /**
   * @param tokens of a batch at most, unless one sequence has more
   * @param fixedLength all batches are padded to at least this
   */
  public TokenRowBatches(TokenRows data, int pad, int tokens, int fixedLength, long seed) {
    this.data = data;
    this.pad = pad;
    this.tokens = tokens;
    this.fixedLength = fixedLength;
    this.seed = seed;
  }

  /** The batch at a place; places go on into the next epoch at the end of one. */
  public TokenBatch at(BatchPosition position) {
    BatchPosition place = position;
    while (place.index() >= epoch(place.epoch()).size()) {
      place = new BatchPosition(place.epoch() + 1, 0);
    }
    return pack(epoch(place.epoch()).get((int) place.index()), place);
  }

  /** Every sequence once, the longest first; for evaluation. */
  public List<TokenBatch> inOrder() {
    var all = split(numbers());
    return all.stream().map(rows -> pack(rows, BatchPosition.START)).toList();
  }

  private List<List<Integer>> epoch(long wanted) {
    if (wanted != epoch) {
      List<Integer> order = new ArrayList<>(numbers());
      Seeds.shuffle(order, Seeds.random(seed, wanted, ORDER));
      double mean = data.rows().stream().mapToInt(r -> r.length).average().orElseThrow();
      int window = (int) Math.max(1, Math.min(order.size(), WINDOW * (tokens / mean)));
      batches = new ArrayList<>();
      for (int from = 0; from < order.size(); from += window) {
        batches.addAll(split(order.subList(from, Math.min(order.size(), from + window))));
      }
      Seeds.shuffle(batches, Seeds.random(seed, wanted, BATCH_ORDER));
      epoch = wanted;
    }
    return batches;
  }

  private List<Integer> numbers() {
    return IntStream.range(0, data.rows().size()).boxed().toList();
  }

  private List<List<Integer>> split(List<Integer> numbers) {
    var longestFirst =
        numbers.stream().sorted(Comparator.comparingInt(i -> -data.rows().get(i).length)).toList();
    return Collator.split(longestFirst, i -> Math.max(1, tokens / padded(i)));
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
