package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A table of texts as RFC 4180 has it: commas, a first line of names, quotes doubled inside quotes.
 *
 * @param columns names, in order
 * @param rows as many cells each as there are columns
 */
public record CsvTable(List<String> columns, List<List<String>> rows) {

  /** Reads a table in UTF-8. @throws PerformerException naming file and row, if it is broken */
  public static CsvTable read(Path file) {
    String text;
    try {
      text = Files.readString(file);
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read as text in UTF-8: " + e, e);
    }
    List<List<String>> rows = parse(text.startsWith("\uFEFF") ? text.substring(1) : text, file);
    if (rows.isEmpty()) {
      throw new PerformerException(file + ": is empty; expected a first line of column names");
    }
    List<String> columns = rows.remove(0);
    for (int i = 0; i < rows.size(); i++) {
      if (rows.get(i).size() != columns.size()) {
        throw new PerformerException(
            "%s: row %d has %d cells, but there are %d columns"
                .formatted(file, i + 2, rows.get(i).size(), columns.size()));
      }
    }
    return new CsvTable(columns, rows);
  }

  private static List<List<String>> parse(String text, Path file) {
    List<List<String>> rows = new ArrayList<>();
    List<String> row = new ArrayList<>();
    StringBuilder cell = new StringBuilder();
    boolean isQuoted = false;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (isQuoted) {
        if (c != '"') {
          cell.append(c);
        } else if (i + 1 < text.length() && text.charAt(i + 1) == '"') {
          cell.append(text.charAt(++i));
        } else {
          isQuoted = false;
        }
      } else if (c == '"' && cell.isEmpty()) {
        isQuoted = true;
      } else if (c == ',') {
        row.add(take(cell));
      } else if (c == '\n') {
        endRow(rows, row, cell);
      } else if (c != '\r') {
        cell.append(c);
      }
    }
    if (isQuoted) {
      throw new PerformerException(file + ": a quote of row " + (rows.size() + 1) + " has no end");
    }
    endRow(rows, row, cell);
    return rows;
  }

  private static String take(StringBuilder cell) {
    String text = cell.toString();
    cell.setLength(0);
    return text;
  }

  private static void endRow(List<List<String>> rows, List<String> row, StringBuilder cell) {
    if (!row.isEmpty() || !cell.isEmpty()) {
      row.add(take(cell));
      rows.add(List.copyOf(row));
      row.clear();
    }
  }

  /** A cell as it is written: in quotes where it must be. */
  public static String cell(String text) {
    boolean isPlain = text.chars().noneMatch(c -> c == ',' || c == '"' || c == '\n' || c == '\r');
    return isPlain ? text : '"' + text.replace("\"", "\"\"") + '"';
  }

  /** The cells of a column, or null if there is none of these names. */
  public List<String> column(String... names) {
    for (String name : names) {
      int at = columns.indexOf(name);
      if (at >= 0) {
        return rows.stream().map(row -> row.get(at)).toList();
      }
    }
    return null;
  }
}
