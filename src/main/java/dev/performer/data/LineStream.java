package dev.performer.data;

import dev.performer.PerformerException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.NoSuchElementException;

/** The lines of a text in UTF-8, blank ones left out; an id is the number of the line. */
final class LineStream implements SequenceStream {
  private final Path file;
  private final BufferedReader reader;
  private long number;
  private String next;

  LineStream(Path file) {
    this.file = file;
    try {
      reader = Files.newBufferedReader(file);
    } catch (IOException e) {
      throw failure(e);
    }
    read();
  }

  private void read() {
    try {
      do {
        next = reader.readLine();
        number++;
      } while (next != null && next.isBlank());
    } catch (IOException e) {
      close();
      throw failure(e);
    }
  }

  private PerformerException failure(IOException e) {
    return new PerformerException(file + ": cannot be read as text in UTF-8: " + e, e);
  }

  @Override
  public boolean hasNext() {
    return next != null;
  }

  @Override
  public ProteinSequence next() {
    if (next == null) {
      throw new NoSuchElementException();
    }
    ProteinSequence sequence = new ProteinSequence(Long.toString(number), "", next.strip());
    read();
    return sequence;
  }

  @Override
  public void close() {
    try {
      reader.close();
    } catch (IOException e) {
      throw failure(e);
    }
  }
}
