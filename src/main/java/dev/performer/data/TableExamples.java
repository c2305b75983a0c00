package dev.performer.data;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * Texts and labels from the columns of a CSV or TSV file, gzipped or not, read as a stream.
 *
 * @param table how the file is written
 * @param textColumn its name, or its number from 1 where the table has no header
 * @param label what the label column holds
 * @param encoder turns a text into ids
 */
public record TableExamples(
    TableFile table, String textColumn, LabelColumn label, Function<String, int[]> encoder)
    implements ExampleSource {
  static final int MOST_CATEGORIES = 100_000;

  /** protein_lm's lines {@code id,sequence}, without a header. */
  public static TableExamples proteinLm(Path file, ResidueEncoder encoder) {
    return new TableExamples(
        new TableFile(file, ',', false), "2", new LabelColumn.None(), encoder::encode);
  }

  /**
   * The different values of a column, sorted: the classes of a training set. Numbers come in their
   * own order.
   *
   * @throws PerformerException if the file cannot be read, has no row, or has over 100,000 values
   */
  public static List<String> categories(TableFile table, String column) {
    TreeSet<String> names = new TreeSet<>();
    try (TableFile.Rows rows = table.open()) {
      int index = rows.column(column);
      for (List<String> row = rows.next(); row != null; row = rows.next()) {
        names.add(row.get(index));
        if (names.size() > MOST_CATEGORIES) {
          throw new PerformerException(
              "%s: column '%s' has over %s values; it is no class"
                  .formatted(table.file(), column, MOST_CATEGORIES));
        }
      }
    }
    List<String> sorted = new ArrayList<>(names);
    if (sorted.stream().allMatch(name -> name.matches("\\d{1,9}"))) {
      sorted.sort((a, b) -> Integer.compare(Integer.parseInt(a), Integer.parseInt(b)));
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
      return new Stream(rows);
    } catch (RuntimeException e) {
      rows.close();
      throw e;
    }
  }

  private final class Stream extends LookAhead<Example> {
    private final TableFile.Rows rows;
    private final int text;
    private final int labelColumn;
    private final Map<String, Integer> categories = new HashMap<>();

    Stream(TableFile.Rows rows) {
      this.rows = rows;
      text = rows.column(textColumn);
      if (label instanceof LabelColumn.Categories wanted) {
        labelColumn = rows.column(wanted.column());
        wanted.names().forEach(name -> categories.put(name, categories.size()));
      } else if (label instanceof LabelColumn.Values wanted) {
        labelColumn = rows.column(wanted.column());
      } else {
        labelColumn = -1;
      }
    }

    @Override
    protected Example read() {
      List<String> row = rows.next();
      return row == null ? null : new Example(encoder.apply(row.get(text)), label(row));
    }

    private Label label(List<String> row) {
      if (label instanceof LabelColumn.None) {
        return Label.NONE;
      }
      String value = row.get(labelColumn);
      if (label instanceof LabelColumn.Categories) {
        Integer id = categories.get(value);
        if (id == null) {
          throw new PerformerException(
              "%sclass '%s' is not among the %s known"
                  .formatted(rows.where(), Excerpt.of(value), categories.size()));
        }
        return new Label.Category(id);
      }
      try {
        float number = Float.parseFloat(value.strip());
        if (Float.isFinite(number)) {
          return new Label.Value(number);
        }
      } catch (NumberFormatException e) {
        // reported below
      }
      throw new PerformerException(
          rows.where() + "label '" + Excerpt.of(value) + "' is not a finite number");
    }

    @Override
    public void close() {
      rows.close();
    }
  }
}
