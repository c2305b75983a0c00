package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/** Finds what has a label, or the label that a person meant. */
public final class Labels {
  private Labels() {}

  /** What has a label. @param what such as {@code kernel} */
  public static <T> T find(
      String what, String label, List<T> known, Function<? super T, String> labelOf) {
    return known.stream()
        .filter(k -> labelOf.apply(k).equals(label))
        .findFirst()
        .orElseThrow(() -> unknown(what, label, known.stream().map(labelOf).toList()));
  }

  /** A one-line failure that names the nearest known label and lists the others. */
  public static PerformerException unknown(String what, String label, List<String> known) {
    return new PerformerException(
        "unknown %s '%s'; did you mean '%s'? Known: %s"
            .formatted(what, label, nearest(label, known), String.join(", ", known)));
  }

  /** The known name that is nearest to a name, or "" if there is none. */
  public static String nearest(String name, Collection<String> known) {
    return known.stream()
        .min(
            Comparator.comparingInt((String other) -> distance(name, other))
                .thenComparing(other -> !other.startsWith(name))
                .thenComparing(other -> other))
        .orElse("");
  }

  /** Levenshtein distance, ignoring case. */
  private static int distance(String a, String b) {
    String x = a.toLowerCase(Locale.ROOT);
    String y = b.toLowerCase(Locale.ROOT);
    int[] row = new int[y.length() + 1];
    for (int j = 0; j <= y.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= x.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= y.length(); j++) {
        int substituted = diagonal + (x.charAt(i - 1) == y.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[y.length()];
  }
}
