package dev.performer;

/** Too much is under way to take more on: the same call may succeed a little later. */
public final class BusyException extends PerformerException {
  /** A message of one line: what is full, and how much it holds. */
  public BusyException(String message) {
    super(message);
  }
}
