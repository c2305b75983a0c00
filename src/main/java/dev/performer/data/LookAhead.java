package dev.performer.data;

import java.util.NoSuchElementException;

/** A stream of which the next thing is read when its presence is queried. */
abstract class LookAhead<T> implements DataStream<T> {
  private T next;
  private boolean ended;

  /** The next thing, or null at the end, behind which it is not called again. */
  protected abstract T read();

  @Override
  public final boolean hasNext() {
    if (next == null && !ended) {
      next = read();
      ended = next == null;
    }
    return next != null;
  }

  @Override
  public final T next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    T result = next;
    next = null;
    return result;
  }
}
