package dev.performer.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.performer.PerformerException;
import java.util.regex.Pattern;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** What every message for users must be, whatever file it is about. */
public final class ErrorMessages {
  private static final int LONGEST = 4000;
  private static final Pattern CLASS =
      Pattern.compile(
          "\\b(?:java|javax|jdk|sun|org|com|io|ai|dev)\\.(?:\\w+\\.)*[A-Z]\\w*|\\b[A-Z]\\w*(?:Exception|Error)\\b");
  private static final Pattern NULL =
      Pattern.compile("(?<!key)(?:^|[:(,] ?|is |\\s)null(?:$|[;),. ])");

  private ErrorMessages() {}

  /** Fails unless the call ends in one line that names the place and no class of Java. */
  public static String of(ThrowingCallable call, String place) {
    Throwable thrown = catchThrowable(call);
    assertThat(thrown).isInstanceOf(PerformerException.class);
    String message = thrown.getMessage();
    String fault = fault(message, place);
    if (fault != null) {
      throw new AssertionError(fault + ": " + message, thrown);
    }
    return message;
  }

  /** What is wrong with a message, or null. */
  public static String fault(String message, String place) {
    if (message == null || message.isBlank()) {
      return "no message";
    } else if (!message.contains(place)) {
      return "does not name " + place;
    } else if (message.lines().count() != 1) {
      return "several lines";
    } else if (message.length() > LONGEST) {
      return message.length() + " characters";
    } else if (message.toLowerCase().contains("unexpected")) {
      return "says unexpected";
    }
    String rest = message.replace(place, "");
    return CLASS.matcher(rest).find()
        ? "names a class"
        : NULL.matcher(rest).find() ? "says null" : null;
  }
}
