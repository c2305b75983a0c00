package dev.performer.data;

import java.util.NoSuchElementException;

/** Examples of which the next is read when someone asks whether there is one. */
abstract class LookAheadExamples implements ExampleStream {
  private Example next;
  private boolean ended;

  /** The next example, or null at the end. */
  protected abstract Example read();

  @Override
  public final boolean hasNext() {
    if (next == null && !ended) {
      next = read();
      ended = next == null;
    }
    return next != null;
  }

  @Override
  public final Example next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    Example result = next;
    next = null;
    return result;
  }
}
