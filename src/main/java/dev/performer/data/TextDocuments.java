package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Predicate;

/**
 * Whole documents, which may be gzipped: each file of a folder (and of the folders in it, in the
 * order of their names) is one, or each line of a file.
 */
public record TextDocuments(Path place, TextEncoder encoder) implements ExampleSource {
  private static final int LIMIT = 1 << 27;

  @Override
  public String name() {
    return place.toString();
  }

  @Override
  public DataStream<Example> open() {
    if (!Files.isDirectory(place)) {
      DataFile.Lines lines = new DataFile.Lines(place);
      return examples(DataStream.of(lines::nextText, lines::close));
    }
    Predicate<Path> isShown = file -> !file.getFileName().toString().startsWith(".");
    List<Path> files = DataFile.list(place, Integer.MAX_VALUE, isShown);
    require(!files.isEmpty(), "%s holds no file; expected text files", place);
    return examples(DataStream.of(files.iterator()).map(TextDocuments::read));
  }

  private DataStream<Example> examples(DataStream<String> documents) {
    return documents.map(document -> Example.of(encoder.encode(document)));
  }

  private static String read(Path file) {
    ByteBuffer bytes = ByteBuffer.wrap(DataFile.readAll(file, "a text file", LIMIT));
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }
}
