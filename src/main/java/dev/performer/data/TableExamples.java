package dev.performer.data;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Texts and labels from the columns of a CSV or TSV file, gzipped or not, read as a stream. Columns
 * are known by their names, or by numbers from 1 where the table has no header.
 */
public record TableExamples(
    TableFile table, String textColumn, Optional<LabelColumns> label, TextEncoder encoder)
    implements ExampleSource {
  static final int MOST_CATEGORIES = 100_000;

  /** protein_lm's lines {@code id,sequence}, without a header. */
  public static TableExamples proteinLm(Path file, TextEncoder encoder) {
    TableFile table = new TableFile(file, ',', false);
    return new TableExamples(table, "2", Optional.empty(), encoder);
  }

  @Override
  public String name() {
    return table.file().toString();
  }

  @Override
  public DataStream<Example> open() {
    TableFile.Rows rows = table.open();
    try {
      int text = rows.column(textColumn);
      var reader = label.map(columns -> columns.reader(encoder));
      List<Integer> places =
          label.stream().flatMap(l -> l.columns().stream()).map(rows::column).toList();
      return DataStream.<List<String>>of(rows::next, rows::close)
          .map(
              row ->
                  reader.isEmpty()
                      ? Example.of(encoder.encode(row.get(text)))
                      : reader
                          .get()
                          .read(
                              row.get(text), places.stream().map(row::get).toList(), rows::where));
    } catch (RuntimeException e) {
      rows.close();
      throw e;
    }
  }
}
