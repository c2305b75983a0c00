package dev.performer.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;

/** The lines of a text in UTF-8, gzipped or not, which end as on any system. */
final class LineReader implements AutoCloseable {
  private final Path file;
  private final BoundedReader text;
  private final BufferedReader lines;
  private long number;

  LineReader(Path file) {
    this.file = file;
    text = new BoundedReader(DataFile.text(file, "a text file"), this::tooLong);
    lines = new BufferedReader(text);
  }

  private String tooLong() {
    return "line %d has over %d characters; expected lines of text"
        .formatted(number, BoundedReader.LONGEST);
  }

  /** The next line that is not blank, without its end, or null behind the last. */
  String next() {
    try {
      String line;
      do {
        number++;
        text.allowNext();
        line = lines.readLine();
      } while (line != null && line.isBlank());
      return line;
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  /** The number of the line that was read last, from 1. */
  long number() {
    return number;
  }

  @Override
  public void close() {
    DataFile.close(file, lines);
  }
}
