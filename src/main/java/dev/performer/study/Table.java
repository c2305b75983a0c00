package dev.performer.study;

import java.util.Locale;

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

  /** A text with numbers as they are written everywhere. */
  static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
