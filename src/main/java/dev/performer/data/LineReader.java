package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Path;

/** The lines of a text in UTF-8, gzipped or not, which end as on any system. */
final class LineReader implements AutoCloseable {
  private static final int LONGEST = 1 << 27;

  private final Path file;
  private final Reader text;
  private final char[] buffer = new char[1 << 14];
  private int position;
  private int limit;
  private long number;
  private boolean afterReturn;

  /**
   * @throws PerformerException if the file cannot be opened
   */
  LineReader(Path file) {
    this.file = file;
    text = DataFile.text(file, "a text file");
  }

  /**
   * The next line without its end, or null behind the last. @throws PerformerException if it is no
   * text
   */
  String next() {
    number++;
    StringBuilder line = new StringBuilder();
    for (int c = character(); c != '\n'; c = character()) {
      if (c < 0) {
        return line.isEmpty() ? null : line.toString();
      }
      if (line.length() == LONGEST) {
        throw new PerformerException(
            "%s, line %s: over %s characters; expected lines of text"
                .formatted(file, number, LONGEST));
      }
      line.append((char) c);
    }
    return line.toString();
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
    return number;
  }

  /** The next character with every kind of line end as {@code \n}, or -1. */
  private int character() {
    int c = readCharacter();
    if (c == '\n' && afterReturn) {
      c = readCharacter();
    }
    afterReturn = c == '\r';
    return afterReturn ? '\n' : c;
  }

  private int readCharacter() {
    if (position == limit) {
      try {
        limit = Math.max(0, text.read(buffer));
        position = 0;
      } catch (IOException e) {
        throw DataFile.unreadable(file, e);
      }
      if (limit == 0) {
        return -1;
      }
    }
    return buffer[position++];
  }

  @Override
  public void close() {
    DataFile.close(file, text);
  }
}
