package dev.performer.data;

import java.util.Iterator;

/** Examples one after the other. Whoever opened it closes it. */
public interface ExampleStream extends Iterator<Example>, AutoCloseable {
  @Override
  void close();

  /** Passes over some examples, or all if there are fewer. */
  default void skip(long count) {
    for (long i = 0; i < count && hasNext(); i++) {
      next();
    }
  }
}
