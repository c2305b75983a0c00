package dev.performer.training;

import dev.performer.data.Batches.BatchPosition;
import java.util.Optional;

/**
 * Labelled batches in an order that depends on the source and its seed alone, so that a position is
 * enough to go on after an interruption: without end for training, one pass for evaluation. For use
 * by one thread.
 */
public interface BatchSource extends AutoCloseable {
  /** Always true of a source for training. */
  boolean hasNext();

  /** The batch at {@link #position}, which moves on. */
  LabelledBatch next();

  BatchPosition position();

  /** Goes to a position that an equal source had. */
  void restore(BatchPosition position);

  /** What a message calls the data. */
  String name();

  /** Reported once, after the first pass: what was read otherwise than it stood in the file. */
  default Optional<String> reportOnce() {
    return Optional.empty();
  }

  @Override
  void close();
}
