package dev.performer;

/** What was waited for did not come in the time that the caller gave. */
public class DeadlineException extends PerformerException {
  /** A message of one line. */
  public DeadlineException(String message) {
    super(message);
  }
}
