package dev.performer.serving;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A text as a model has read it: its states, and the logits of the token behind it. Immutable; it
 * has several owners, each of which closes it once. Safe for use by several threads.
 */
public final class TextState implements AutoCloseable {
  private final int[] ids;
  private final float[] logits;
  private final StateRows rows;
  private final AtomicInteger owners = new AtomicInteger(1);

  /**
   * One owner's.
   *
   * @param rows one row, which this closes; null for a model without states
   */
  TextState(int[] ids, float[] logits, StateRows rows) {
    this.ids = ids;
    this.logits = logits;
    this.rows = rows;
  }

  /** How many tokens were read, but for a begin token of the model's own. */
  public int length() {
    return ids.length;
  }

  /** The tokens that were read. */
  public int[] ids() {
    return ids.clone();
  }

  /** Memory of the states, the logits and the ids. */
  public long bytes() {
    return (rows == null ? 0 : rows.bytes()) + 4L * (logits.length + ids.length);
  }

  /** The same for one more owner. */
  public TextState share() {
    int before = owners.getAndUpdate(n -> n == 0 ? 0 : n + 1);
    if (before == 0) {
      throw new IllegalStateException("the states of this text are closed");
    }
    return this;
  }

  /** Frees the states when the last owner does. */
  @Override
  public void close() {
    if (owners.decrementAndGet() == 0 && rows != null) {
      rows.close();
    }
  }

  float[] logits() {
    return logits;
  }

  StateRows rows() {
    return rows;
  }

  /** The ids with more behind them. */
  static int[] joined(TextState before, int[] more) {
    int length = before == null ? 0 : before.ids.length;
    int[] all =
        before == null ? new int[more.length] : Arrays.copyOf(before.ids, length + more.length);
    System.arraycopy(more, 0, all, length, more.length);
    return all;
  }

  boolean begins(int[] text) {
    return ids.length <= text.length && Arrays.equals(ids, 0, ids.length, text, 0, ids.length);
  }
}
