package dev.performer.data;

import java.util.Iterator;

/** Batches one after the other. Whoever opened it closes it. */
public interface BatchStream extends Iterator<TokenBatch>, AutoCloseable {
  @Override
  void close();
}
