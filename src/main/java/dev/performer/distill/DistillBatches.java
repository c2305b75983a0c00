package dev.performer.distill;

import dev.performer.data.BatchPosition;
import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRowBatches;
import dev.performer.training.BatchSource;
import dev.performer.training.LabelledBatch;
import java.util.function.LongSupplier;

/** What a student learns from, epoch after epoch. */
final class DistillBatches implements BatchSource {
  private final DistillData data;
  private final long seed;
  private final LongSupplier step;
  private final TokenRowBatches batches;
  private BatchPosition position = BatchPosition.START;

  /**
   * @param tokens of a batch at most
   * @param step of the masks of the next batch
   */
  DistillBatches(DistillData data, int tokens, long seed, LongSupplier step) {
    this.data = data;
    this.seed = seed;
    this.step = step;
    batches = new TokenRowBatches(data.train(), data.pad(), tokens, data.paddedLength(), seed);
  }

  @Override
  public boolean hasNext() {
    return true;
  }

  @Override
  public LabelledBatch next() {
    TokenBatch batch = batches.at(position);
    position = batch.position().next();
    return data.label(batch, seed, step.getAsLong());
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
    return data.train().name();
  }

  @Override
  public void close() {}
}
