package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;

/** Rows of a Parquet file: a text or a list of token ids, and what is kept. */
final class ParquetRows extends RowFile {
  private final ParquetFile rows;
  private final OptionalInt pad;
  private final boolean hasId;
  private final boolean isText;
  private long count;

  ParquetRows(Path file, RowSource.Columns columns, OptionalInt pad) {
    super(file);
    this.pad = pad;
    rows = new ParquetFile(file);
    try {
      List<String> names = rows.names();
      String text = text(file, columns, names, true);
      String id = id(file, columns, names);
      Field content = rows.field(text);
      isText = content.type() == null;
      boolean isIds = !isText && content.rank() == 1 && !content.type().code().startsWith("f");
      String unfit = "%s: column '%s' is %s; expected text, or a list of token ids";
      require(isText || isIds, unfit, file, text, content.typeLabel());
      hasId = id != null;
      Field called = hasId ? rows.field(id) : Field.text("id");
      String lists = "%s: column '%s' is a %s, which is no id";
      require(called.rank() == 0, lists, file, id, called.typeLabel());
      boolean isNumber = called.type() != null;
      called = isNumber ? Field.number("id", called.type()) : Field.text("id");
      called = called.in(RowFormat.CSV, RowFormat.PARQUET);
      List<Field> known = columns.kept().stream().map(rows::field).toList();
      keep(known, called, columns.kept());
      List<String> chosen = new ArrayList<>(List.of(text));
      chosen.addAll(hasId ? List.of(id) : List.of());
      fields().stream().skip(1).map(Field::name).forEach(chosen::add);
      rows.choose(chosen);
    } catch (PerformerException e) {
      close();
      throw e;
    }
  }

  @Override
  Row next() {
    Object[] values = rows.next();
    if (values == null) {
      return null;
    }
    count++;
    int first = hasId ? 2 : 1;
    Object name = hasId ? values[1] : numbered(count);
    Object[] others = Arrays.copyOfRange(values, first, values.length);
    String where = file + ", row " + count + ": ";
    String fault = values[0] == null ? where + "has no text" : null;
    fault = rows.fault() == null ? fault : where + rows.fault();
    int[] ids = null;
    if (values[0] instanceof NpyArray tokens) {
      try {
        ids = NpzRows.ids(tokens, null, pad);
      } catch (PerformerException e) {
        fault = where + e.getMessage();
      }
    }
    String text = values[0] instanceof String own ? own : null;
    return new Row(file, "row", count, name, text, ids, others, fault);
  }

  @Override
  boolean isIds() {
    return !isText;
  }

  @Override
  long skip(long most) {
    long over = Math.min(most, rows.rows() - count);
    rows.skip(over);
    count += over;
    return over;
  }

  @Override
  double fraction() {
    return (double) count / Math.max(1, rows.rows());
  }

  @Override
  public void close() {
    rows.close();
  }
}
