package dev.performer;

/** There is nothing of the name, version or id that was given. */
public final class NotFoundException extends PerformerException {
  /** A message of one line: what is missing, and what there is. */
  public NotFoundException(String message) {
    super(message);
  }
}
