package dev.performer.data;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.List;

/**
 * Writes rows in parts, and joins the parts: what is written depends on the rows and on where parts
 * end alone.
 */
public interface RowSink {
  /** Writes some rows, with a value for each field, into a file of their own. */
  void part(Path file, List<Object[]> rows) throws IOException;

  /** Writes all parts, in their order, as one file. */
  void join(List<Path> parts, OutputStream out) throws IOException;

  /**
   * For a file's name.
   *
   * @param fields of a row; those that the format has are written
   * @param tokens as the vocabulary writes them, for tables with a line for each token
   * @param least places that arrays have for a row's tokens at least
   * @throws dev.performer.PerformerException if the format cannot hold them, or its library is
   *     missing
   */
  static RowSink of(Path target, List<Field> fields, List<String> tokens, int least) {
    return switch (RowFormat.written(target)) {
      case CSV -> new CsvSink(target, fields, tokens);
      case PARQUET -> new ParquetSink(fields);
      default -> new NpzSink(fields, least);
    };
  }
}
