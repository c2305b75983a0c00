package dev.performer.data;

import java.util.NoSuchElementException;

/** Sequences of which the next is read when someone asks whether there is one. */
abstract class LookAheadStream implements SequenceStream {
  private ProteinSequence next;

  /** The next sequence, or null at the end. */
  protected abstract ProteinSequence readRecord();

  @Override
  public final boolean hasNext() {
    if (next == null) {
      next = readRecord();
    }
    return next != null;
  }

  @Override
  public final ProteinSequence next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    ProteinSequence result = next;
    next = null;
    return result;
  }
}
