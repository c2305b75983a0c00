package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/**
 * Texts and labels from the columns of a CSV or TSV file, gzipped or not, read as a stream. Columns
 * are known by their names, or by numbers from 1 where the table has no header.
 */
public record TableExamples(
    TableFile table, String textColumn, Optional<LabelColumn> label, TextEncoder encoder)
    implements ExampleSource {
  static final int MOST_CATEGORIES = 100_000;

  /** A column of labels, and all names by their ids ({@link #categories}); empty for numbers. */
  public record LabelColumn(String column, Optional<List<String>> classes) {}

  /** protein_lm's lines {@code id,sequence}, without a header. */
  public static TableExamples proteinLm(Path file, TextEncoder encoder) {
    TableFile table = new TableFile(file, ',', false);
    return new TableExamples(table, "2", Optional.empty(), encoder);
  }

  /** The different values of a column, at most 100,000, sorted, numbers in their own order. */
  public static List<String> categories(TableFile table, String column) {
    TreeSet<String> names = new TreeSet<>();
    try (TableFile.Rows rows = table.open()) {
      int index = rows.column(column);
      for (List<String> row = rows.next(); row != null; row = rows.next()) {
        names.add(row.get(index));
        boolean fits = names.size() <= MOST_CATEGORIES;
        String tooMany = "%s: column '%s' has over %s values; it is no class";
        require(fits, tooMany, table.file(), column, MOST_CATEGORIES);
      }
    }
    List<String> sorted = new ArrayList<>(names);
    if (sorted.stream().allMatch(name -> name.matches("\\d{1,9}"))) {
      sorted.sort(Comparator.comparingInt(Integer::parseInt));
    }
    return sorted;
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
      int place = label.isPresent() ? rows.column(label.get().column()) : -1;
      Map<String, Integer> ids = new HashMap<>();
      label.flatMap(LabelColumn::classes).orElse(List.of()).forEach(n -> ids.put(n, ids.size()));
      return DataStream.<List<String>>of(rows::next, rows::close)
          .map(
              row ->
                  new Example(
                      encoder.encode(row.get(text)),
                      label.isEmpty() ? Label.NONE : label(row.get(place), ids, rows)));
    } catch (RuntimeException e) {
      rows.close();
      throw e;
    }
  }

  private Label label(String value, Map<String, Integer> ids, TableFile.Rows rows) {
    if (ids.containsKey(value)) {
      return new Label.Category(ids.get(value));
    } else if (label.get().classes().isPresent()) {
      String unknown = "%sclass '%s' is not among the %s known";
      throw new PerformerException(unknown.formatted(rows.where(), Excerpt.of(value), ids.size()));
    }
    float number = Float.NaN;
    try {
      number = Float.parseFloat(value.strip());
    } catch (NumberFormatException e) {
      // reported below
    }
    if (!Float.isFinite(number)) {
      throw new PerformerException(
          rows.where() + "label '" + Excerpt.of(value) + "' is not a finite number");
    }
    return new Label.Value(number);
  }
}
