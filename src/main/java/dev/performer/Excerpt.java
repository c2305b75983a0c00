package dev.performer;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/** As much of a list or a text as a message should hold. */
public final class Excerpt {
  private static final int MOST_ITEMS = 10;
  private static final int LONGEST = 300;
  private static final int LONGEST_LINE = 1200;

  private Excerpt() {}

  /** The first ten items, and how many more there are. */
  public static List<String> items(Collection<String> items) {
    List<String> shown = new ArrayList<>();
    items.stream().limit(MOST_ITEMS).forEach(item -> shown.add(of(item)));
    if (items.size() > MOST_ITEMS) {
      shown.add("and " + (items.size() - MOST_ITEMS) + " more");
    }
    return shown;
  }

  /** The first ten of short items with commas between, and how many more there are. */
  public static String names(Collection<String> names) {
    return String.join(", ", items(names));
  }

  /** A text in one line without control characters, at most 300 characters of it. */
  public static String of(String text) {
    String line = oneLine(text.substring(0, Math.min(4 * LONGEST, text.length())));
    boolean isWhole = line.length() <= LONGEST && text.length() <= 4 * LONGEST;
    return isWhole ? line : line.substring(0, Math.min(LONGEST, line.length())) + "…";
  }

  /** A message in one line; of a very long one, as names from a damaged file make it, both ends. */
  public static String line(String message) {
    if (message == null || message.length() <= LONGEST_LINE) {
      return message == null ? "no message" : oneLine(message);
    }
    String end = message.substring(message.length() - LONGEST);
    return oneLine(message.substring(0, LONGEST_LINE - LONGEST)) + " … " + oneLine(end);
  }

  private static String oneLine(String text) {
    return text.strip().replaceAll("\\s*[\\p{Cntrl}\\u0085\\u2028\\u2029]\\s*", " ");
  }
}
