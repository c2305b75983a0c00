package dev.performer;

/** A text is longer than a model takes. */
public class TooLongException extends PerformerException {
  /** A message of one line. */
  public TooLongException(String message) {
    super(message);
  }
}
