package dev.performer;

/** A failure because nothing has the name that was given: no such model, version or session. */
public class NotFoundException extends PerformerException {
  /** A message of one line. */
  public NotFoundException(String message) {
    super(message);
  }
}
