package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Whole documents: each file of a folder (and of the folders in it, in the order of their names) is
 * one, or each line of a file.
 *
 * @param place a folder, or a file whose lines are documents; files may be gzipped
 * @param encoder turns a document into ids, such as {@link TextEncoder#encode}
 */
public record TextDocuments(Path place, Function<String, int[]> encoder) implements ExampleSource {
  private static final int LIMIT = 1 << 27;

  @Override
  public String name() {
    return place.toString();
  }

  @Override
  public ExampleStream open() {
    return Files.isDirectory(place) ? new OfFiles(files(place)) : new OfLines();
  }

  private static List<Path> files(Path folder) {
    try (Stream<Path> all = Files.walk(folder)) {
      List<Path> files =
          all.filter(Files::isRegularFile)
              .filter(file -> !file.getFileName().toString().startsWith("."))
              .sorted()
              .toList();
      if (files.isEmpty()) {
        throw new PerformerException(folder + " holds no file; expected text files");
      }
      return files;
    } catch (IOException | UncheckedIOException e) {
      throw new PerformerException("cannot read " + folder + ": " + e.getMessage(), e);
    }
  }

  private static Reader decode(InputStream in) {
    return new InputStreamReader(
        in,
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT));
  }

  private final class OfFiles extends LookAheadExamples {
    private final List<Path> files;
    private int next;

    OfFiles(List<Path> files) {
      this.files = files;
    }

    @Override
    protected Example read() {
      if (next == files.size()) {
        return null;
      }
      Path file = files.get(next++);
      byte[] bytes = DataFile.readAll(file, "a text file", LIMIT);
      try {
        return Example.of(
            encoder.apply(
                StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()));
      } catch (IOException e) {
        throw DataFile.unreadable(file, e);
      }
    }

    @Override
    public void close() {}
  }

  private final class OfLines extends LookAheadExamples {
    private final Reader text;
    private final char[] buffer = new char[1 << 14];
    private int position;
    private int limit;
    private long line;

    OfLines() {
      text = decode(DataFile.open(place, "a text file"));
    }

    /** Lines without text are no documents. */
    @Override
    protected Example read() {
      for (String document = line(); document != null; document = line()) {
        if (!document.isBlank()) {
          return Example.of(encoder.apply(document));
        }
      }
      return null;
    }

    private String line() {
      line++;
      StringBuilder result = new StringBuilder();
      for (int c = character(); c != '\n'; c = character()) {
        if (c < 0) {
          return result.isEmpty() ? null : result.toString();
        }
        if (result.length() == LIMIT) {
          throw new PerformerException(
              place + ", line " + line + ": over " + LIMIT + " characters; expected lines of text");
        }
        if (c != '\r') {
          result.append((char) c);
        }
      }
      return result.toString();
    }

    private int character() {
      if (position == limit) {
        try {
          limit = text.read(buffer);
          position = 0;
        } catch (IOException e) {
          throw DataFile.unreadable(place, e);
        }
        if (limit <= 0) {
          limit = 0;
          return -1;
        }
      }
      return buffer[position++];
    }

    @Override
    public void close() {
      DataFile.close(place, text);
    }
  }
}
