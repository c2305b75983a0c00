package dev.performer.cli;

import dev.performer.PerformerException;

/** An option's value is wrong, whatever the files hold: exit code 2. */
final class UsageException extends PerformerException {
  private static final long serialVersionUID = 1;

  UsageException(String message) {
    super(message);
  }

  /** Fails unless options have values that go together. */
  public static void require(boolean sound, String format, Object... values) {
    if (!sound) {
      throw new UsageException(format.formatted(values));
    }
  }
}
