package dev.performer.data;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongUnaryOperator;

/** A pass over numbered examples in batches of one shape: any batch is had at once. */
final class IndexedEpoch extends LookAhead<TokenBatch> {
  private final IndexedExamples source;
  private final LongUnaryOperator order;
  private final Collator collator;
  private final long seed;
  private final long epoch;
  private final int count;
  private long index;

  IndexedEpoch(
      IndexedExamples source,
      LongUnaryOperator order,
      Collator collator,
      long seed,
      long epoch,
      long index) {
    this.source = source;
    this.order = order;
    this.collator = collator;
    this.seed = collator.batching().shuffle() ? seed : 0;
    this.epoch = epoch;
    this.count = collator.batching().size().rows(collator.batching().length());
    this.index = index;
  }

  @Override
  protected TokenBatch read() {
    for (; source.size() > 0 && index <= (source.size() - 1) / count; index++) {
      List<Collator.Row> rows = rows();
      if (!rows.isEmpty()) { // a batch whose examples are all empty is no batch
        return collator.batch(rows, new BatchPosition(epoch, index++));
      }
    }
    return null;
  }

  @Override
  public void close() {}

  private List<Collator.Row> rows() {
    List<Collator.Row> result = new ArrayList<>(count);
    long end = Math.min(source.size(), (index + 1) * count);
    for (long i = index * count; i < end; i++) {
      Example example = source.get(order.applyAsLong(i));
      if (example.tokens().length > 0) {
        result.add(collator.crop(example, Seeds.mix(seed, epoch, i)));
      }
    }
    return result;
  }
}
