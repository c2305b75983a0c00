package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.util.Optional;

/** The batches of a data set, epoch after epoch; a position is enough to go on from anywhere. */
public interface Batches {
  /** What a message calls the data. */
  String name();

  /** The tokens these batches are made of. */
  Vocabulary vocabulary();

  /** One pass over the data from its first batch; every example that is not empty is in it. */
  default DataStream<TokenBatch> epoch(long epoch) {
    return epoch(epoch, 0);
  }

  /** The rest of a pass, from the batch of this index on. */
  DataStream<TokenBatch> epoch(long epoch, long index);

  /** Batches without end, epoch after epoch, from a position on. */
  default DataStream<TokenBatch> from(BatchPosition position) {
    return new DataStream<>() {
      private long epoch = position.epoch();
      private DataStream<TokenBatch> current = epoch(epoch, position.index());
      private boolean epochHadBatches = position.index() > 0;

      @Override
      public boolean hasNext() {
        return true;
      }

      @Override
      public TokenBatch next() {
        while (!current.hasNext()) {
          require(epochHadBatches, "%s holds no sequence with tokens; nothing to train on", name());
          current.close();
          current = Batches.this.epoch(++epoch);
          epochHadBatches = false;
        }
        epochHadBatches = true;
        return current.next();
      }

      @Override
      public void close() {
        current.close();
      }
    };
  }

  /** Reported once, after the first epoch: what was read otherwise than it stood in the file. */
  default Optional<String> reportOnce() {
    return Optional.empty();
  }

  /** A place in the endless row of batches: complete passes, and batches of this one before it. */
  record BatchPosition(long epoch, long index) {
    /** The first batch of all. */
    public static final BatchPosition START = new BatchPosition(0, 0);

    /** The place after this batch. */
    public BatchPosition next() {
      return new BatchPosition(epoch, index + 1);
    }
  }
}
