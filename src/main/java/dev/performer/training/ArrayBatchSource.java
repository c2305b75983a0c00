package dev.performer.training;

import dev.performer.data.ArrayRows;
import dev.performer.data.Batches.BatchPosition;
import java.util.function.Function;

/**
 * Batches of arrays: epoch after epoch in a random order, or one pass in their own.
 *
 * @see TokenBatchSource
 */
public final class ArrayBatchSource implements BatchSource {
  private final ArrayRows rows;
  private final Function<int[], LabelledBatch> batches;
  private final int size;
  private final long seed;
  private final boolean endless;
  private BatchPosition position = BatchPosition.START;

  private ArrayBatchSource(
      ArrayRows rows,
      Function<int[], LabelledBatch> batches,
      int size,
      long seed,
      boolean endless) {
    this.rows = rows;
    this.batches = batches;
    this.size = size;
    this.seed = seed;
    this.endless = endless;
  }

  /** Without end. @param batches of the rows at some places */
  public static ArrayBatchSource training(
      ArrayRows rows, Function<int[], LabelledBatch> batches, int size, long seed) {
    return new ArrayBatchSource(rows, batches, size, seed, true);
  }

  /** One pass. */
  public static ArrayBatchSource evaluation(
      ArrayRows rows, Function<int[], LabelledBatch> batches, int size) {
    return new ArrayBatchSource(rows, batches, size, 0, false);
  }

  private boolean isAtEnd() {
    return position.index() * size >= rows.size();
  }

  @Override
  public boolean hasNext() {
    return endless || !isAtEnd();
  }

  @Override
  public LabelledBatch next() {
    if (isAtEnd()) {
      position = new BatchPosition(position.epoch() + 1, 0);
    }
    int[] places = rows.places(size, position.index(), endless, seed, position.epoch());
    position = position.next();
    return batches.apply(places);
  }

  @Override
  public BatchPosition position() {
    return position;
  }

  @Override
  public void restore(BatchPosition where) {
    position = where;
  }

  @Override
  public String name() {
    return rows.name();
  }

  @Override
  public void close() {}
}
