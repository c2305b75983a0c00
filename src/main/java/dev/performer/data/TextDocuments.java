package dev.performer.data;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
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
      throw new PerformerException(folder + " cannot be listed: " + DataFile.reason(e), e);
    }
  }

  private final class OfFiles extends LookAhead<Example> implements ExampleStream {
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

  private final class OfLines extends LookAhead<Example> implements ExampleStream {
    private final LineReader lines = new LineReader(place);

    /** Lines without text are no documents. */
    @Override
    protected Example read() {
      String document = lines.nextText();
      return document == null ? null : Example.of(encoder.apply(document));
    }

    @Override
    public void close() {
      lines.close();
    }
  }
}
