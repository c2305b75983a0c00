package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipException;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;

/**
 * A table as text in UTF-8: fields between delimiters, quoted where they hold one ({@code RFC
 * 4180}). In tab-separated files quotes mean nothing. A header names the columns.
 */
public record TableFile(Path file, char delimiter, boolean header) {
  /** A table with a header: {@code .tsv} and {@code .tsv.gz} by tabs, all others by commas. */
  public static TableFile of(Path file) {
    boolean isByTabs = file.toString().matches("(?i).*\\.tsv(\\.gz)?");
    return new TableFile(file, isByTabs ? '\t' : ',', true);
  }

  /** Whether a name is that of a table: {@code .csv} or {@code .tsv}, gzipped or not. */
  public static boolean isNamed(Path file) {
    return file.toString().matches("(?i).*\\.[ct]sv(\\.gz)?");
  }

  /** A field as it is written between commas: in quotes where it must be. */
  public static String field(String text) {
    // The library would quote more, a # at the start for instance.
    boolean isPlain = text.chars().noneMatch(c -> c == ',' || c == '"' || c == '\n' || c == '\r');
    return isPlain ? text : CSVFormat.DEFAULT.format(text);
  }

  /** The fields of all rows by the names of their columns; of two columns of a name, the first. */
  public List<Map<String, String>> read() {
    List<Map<String, String>> all = new ArrayList<>();
    try (Rows rows = open()) {
      for (List<String> fields = rows.next(); fields != null; fields = rows.next()) {
        Map<String, String> row = new LinkedHashMap<>();
        for (int i = 0; i < fields.size(); i++) {
          row.putIfAbsent(header ? rows.first.get(i) : Integer.toString(i + 1), fields.get(i));
        }
        all.add(row);
      }
    }
    return all;
  }

  /** The names in the header. */
  public List<String> columns() {
    try (Rows rows = open()) {
      return List.copyOf(rows.first);
    }
  }

  /** Starts at the first row after the header; the caller closes it. */
  Rows open() {
    String tooLong = "a row of over %d characters; is a quote not closed?";
    var text = DataFile.rows(file, "a table of text", StandardCharsets.UTF_8, tooLong);
    try {
      return new Rows(text);
    } catch (RuntimeException e) {
      DataFile.close(file, text);
      throw e;
    }
  }

  /** The rows of the file, all as wide as the first. */
  final class Rows implements AutoCloseable {
    private final DataFile.Rows reader;
    private final CSVParser parser;
    private final Iterator<CSVRecord> records;
    private final List<String> first;
    private long row;

    private Rows(DataFile.Rows text) {
      reader = text;
      var format = CSVFormat.DEFAULT.builder();
      format.setDelimiter(delimiter).setQuote(delimiter == '\t' ? null : '"');
      try {
        parser = format.get().parse(reader);
      } catch (IOException e) {
        throw unreadable(e);
      }
      records = parser.iterator();
      first = record();
      require(first != null, "%s is empty; expected a table of text", file);
      row = header ? 1 : 0; // a row without a header is still to come
    }

    /** The place of a column; where it is unknown, an error names those there are. */
    int column(String name) {
      if (header) {
        String unknown = "%s has no column '%s'; its first row names %s";
        require(first.contains(name), unknown, file, name, Excerpt.names(first));
        return first.indexOf(name);
      }
      int number = name.matches("[1-9]\\d{0,6}") ? Integer.parseInt(name) : 0;
      String unknown = "%s has %s columns and no header; give a column's number, not '%s'";
      require(number > 0 && number <= first.size(), unknown, file, first.size(), name);
      return number - 1;
    }

    /** The next row, or null at the end. */
    List<String> next() {
      List<String> fields = raw();
      if (fields == null) {
        require(row > 2 || !header, "%s has a header and no row; nothing can be used", file);
        return null;
      }
      String fault = fault(fields);
      if (fault != null) {
        throw new PerformerException(fault);
      }
      return fields;
    }

    /** The next row, whatever its width; null at the end, even if there was none. */
    List<String> raw() {
      List<String> fields = row == 0 ? first : record();
      row++;
      return fields;
    }

    /** Why the last row cannot be used; null if it can be. */
    String fault(List<String> fields) {
      String differs = "%s%d fields; expected %d as in the first row";
      boolean fits = fields.size() == first.size();
      return fits ? null : differs.formatted(where(), fields.size(), first.size());
    }

    /** The number of the last row, with the header's. */
    long number() {
      return row;
    }

    /** The names in the header. */
    List<String> names() {
      return first;
    }

    /** As {@link DataFile.Rows#consumed}. */
    long consumed() {
      return reader.consumed();
    }

    /** Where the last row stands, to begin a message with. */
    String where() {
      return file + ", row " + row + " (line " + parser.getCurrentLineNumber() + "): ";
    }

    @Override
    public void close() {
      DataFile.close(file, parser);
    }

    private List<String> record() {
      try {
        reader.begin();
        if (!records.hasNext()) {
          return null;
        }
        List<String> fields = records.next().toList();
        if (first == null && fields.get(0).startsWith("\uFEFF")) { // a byte order mark
          fields = new ArrayList<>(fields);
          fields.set(0, fields.get(0).substring(1));
        }
        return fields;
      } catch (UncheckedIOException | IllegalStateException e) {
        throw unreadable(e);
      }
    }

    private PerformerException unreadable(Exception e) {
      Throwable cause = e;
      while (cause.getCause() != null) {
        cause = cause.getCause();
      }
      IOException io = cause instanceof IOException own ? own : new IOException();
      if (io instanceof CharacterCodingException
          || io instanceof ZipException
          || io instanceof EOFException) {
        return DataFile.unreadable(file, io);
      }
      String why = Excerpt.of(AtomicFiles.describe(io));
      String wrong = "%s, row %d: cannot be read as a table: %s";
      return new PerformerException(wrong.formatted(file, row + 1, why), e);
    }
  }
}
