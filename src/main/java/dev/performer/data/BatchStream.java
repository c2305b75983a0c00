package dev.performer.data;

import java.util.Iterator;

/** Batches one after the other. Whoever opened it closes it. */
public interface BatchStream extends Iterator<TokenBatch>, AutoCloseable {
  /**
   * Passes over batches.
   *
   * @return this, closed if one of them cannot be read
   */
  default BatchStream after(long batches) {
    try {
      for (long i = 0; i < batches && hasNext(); i++) {
        next();
      }
      return this;
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  @Override
  void close();
}
