package dev.performer;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/**
 * A failure that the user can act on. The message is one line: which file, key or value is wrong,
 * what was expected, and what to do. It names no option of the command line, which prints it, adds
 * those that set {@link #settings}, and exits with 1.
 */
public class PerformerException extends RuntimeException {
  private final String heading;
  private final List<String> items;
  private List<String> settings = List.of();

  /** A message of one line. */
  public PerformerException(String message) {
    this(message, (Throwable) null);
  }

  /** A message of one line, and what was caught, kept for a stack trace. */
  public PerformerException(String message, Throwable cause) {
    this(message, List.of(), cause);
  }

  /** One that lists what is wrong, at most ten items. @param heading what they have in common */
  public PerformerException(String heading, Collection<String> items) {
    this(heading, Excerpt.items(items), null);
  }

  private PerformerException(String heading, List<String> items, Throwable cause) {
    super(Excerpt.line(heading) + (items.isEmpty() ? "" : ": " + String.join("; ", items)), cause);
    this.heading = Excerpt.line(heading);
    this.items = items;
  }

  /** Fails with one line, as of {@link String#format}, unless a condition holds. */
  public static void require(boolean condition, String format, Object... values) {
    if (!condition) {
      throw new PerformerException(format.formatted(values));
    }
  }

  /** The message for a terminal: several items stand on lines of their own behind the heading. */
  public List<String> lines() {
    if (items.size() < 2) {
      return List.of(getMessage());
    }
    List<String> lines = new ArrayList<>(List.of(heading + ":"));
    items.forEach(item -> lines.add("  " + item));
    return lines;
  }

  /** The same failure with the place in front, unless the message begins with it. */
  public PerformerException in(Object place) {
    if (getMessage().startsWith(place.toString())) {
      return this;
    }
    PerformerException placed = new PerformerException(place + ": " + heading, items, this);
    placed.settings = settings;
    return placed;
  }

  /** Names the settings that decide, as in Java: {@code allowMissing}, {@code length=64}. */
  public PerformerException settledBy(String... names) {
    settings = List.of(names);
    return this;
  }

  /** The settings that decide about this failure, or about the one that caused it. */
  public List<String> settings() {
    return settings.isEmpty() && getCause() instanceof PerformerException cause
        ? cause.settings()
        : settings;
  }
}
