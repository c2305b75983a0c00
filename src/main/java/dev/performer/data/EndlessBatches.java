package dev.performer.data;

import dev.performer.PerformerException;

/** Epoch after epoch from a position on. */
final class EndlessBatches implements DataStream<TokenBatch> {
  private final Batches batches;
  private DataStream<TokenBatch> current;
  private long epoch;
  private boolean epochHadBatches;

  EndlessBatches(Batches batches, BatchPosition start) {
    this.batches = batches;
    this.epoch = start.epoch();
    this.current = batches.epoch(epoch, start.index());
    this.epochHadBatches = start.index() > 0;
  }

  @Override
  public boolean hasNext() {
    return true;
  }

  @Override
  public TokenBatch next() {
    while (!current.hasNext()) {
      if (!epochHadBatches) {
        throw new PerformerException(
            batches.name() + " holds no sequence with tokens; nothing to train on");
      }
      current.close();
      current = batches.epoch(++epoch);
      epochHadBatches = false;
    }
    epochHadBatches = true;
    return current.next();
  }

  @Override
  public void close() {
    current.close();
  }
}
