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
  public DataStream<Example> open() {
    if (Files.isDirectory(place)) {
      return DataStream.of(files(place).iterator()).map(this::read);
    }
    LineReader lines = new LineReader(place);
    DataStream<String> documents = DataStream.of(lines::nextText, lines::close);
    return documents.map(document -> Example.of(encoder.apply(document)));
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

  private Example read(Path file) {
    byte[] bytes = DataFile.readAll(file, "a text file", LIMIT);
    try {
      return Example.of(
          encoder.apply(
              StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()));
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }
}
