package dev.performer;

/** A failure for now: too much is waiting; the same may go well a little later. */
public class BusyException extends PerformerException {
  /** A message of one line. */
  public BusyException(String message) {
    super(message);
  }
}
