package dev.performer;

/**
 * A failure that the user can act on. The message is one line: which file, key or value is wrong,
 * what was expected, and what to do. The command line prints it and exits with 1; a stack trace
 * appears only with {@code --verbose}.
 */
public class PerformerException extends RuntimeException {

  /**
   * @param message one line for the user
   */
  public PerformerException(String message) {
    super(message);
  }

  /**
   * @param message one line for the user
   * @param cause what was caught, kept for {@code --verbose}
   */
  public PerformerException(String message, Throwable cause) {
    super(message, cause);
  }
}
