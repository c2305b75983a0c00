package dev.performer.study;

import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Collectors;

/** A table in Markdown. */
final class Table {
  private final StringBuilder text = new StringBuilder();

  Table(String columns) {
    row(columns);
    text.append("|---".repeat(columns.split(" \\| ").length)).append("|\n");
  }

  /** Adds a row of cells with {@code " | "} between them, as columns have. */
  void row(String cells) {
    text.append(("| " + cells + " |\n").replace("|  ", "| ")); // where a cell is empty
  }

  /** Cells of a row behind others. */
  static <T> String columns(List<T> of, Function<T, String> cell) {
    return of.stream().map(one -> " | " + cell.apply(one)).collect(Collectors.joining());
  }

  /** A text with numbers as they are written everywhere. */
  static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
