package dev.performer.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** The lines of a text, gzipped or not, which end as on any system. */
final class LineReader implements AutoCloseable {
  private final Path file;
  private final DataFile.Rows text;
  private final BufferedReader lines;

  /** Of UTF-8. */
  LineReader(Path file) {
    this(file, "a text file", StandardCharsets.UTF_8);
  }

  LineReader(Path file, String expected, Charset charset) {
    this.file = file;
    String tooLong = "line %2$d has over %1$d characters; expected lines of text";
    text = DataFile.rows(file, expected, charset, tooLong);
    lines = new BufferedReader(text);
  }

  /** The next line without its end, or null behind the last. */
  String next() {
    try {
      text.begin();
      return lines.readLine();
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  /** The next line that is not blank, or null behind the last. */
  String nextText() {
    String line = next();
    while (line != null && line.isBlank()) {
      line = next();
    }
    return line;
  }

  /** The number of the line that was read last, from 1. */
  long number() {
    return text.row();
  }

  @Override
  public void close() {
    DataFile.close(file, lines);
  }
}
