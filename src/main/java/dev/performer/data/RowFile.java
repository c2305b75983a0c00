package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.Stream;

/** One file of rows, read on from its beginning. */
abstract class RowFile implements AutoCloseable {
  private static final List<String> TEXTS = List.of("sequence", "text");

  final Path file;
  private final List<Field> fields = new ArrayList<>(); // the id, then what is kept
  private long before; // rows of the files before

  RowFile(Path file) {
    this.file = file;
  }

  static RowFile open(Path file, RowSource.Columns columns, OptionalInt pad) {
    return switch (RowFormat.read(file)) {
      case CSV -> new Table(file, columns);
      case PARQUET -> new ParquetRows(file, columns, pad);
      case NPZ ->
          columns.arrays().isEmpty() ? new Ids(file, columns, pad) : new Features(file, columns);
      case LINES -> new Lines(file, columns);
      case FASTA -> new Fasta(file, columns);
    };
  }

  /** The id, if rows have one, and what is kept. */
  List<Field> fields() {
    return fields;
  }

  /** Rows without an id of their own are numbered behind others. */
  void numberFrom(long rows) {
    before = rows;
  }

  /** Whether rows hold token ids, not texts. */
  boolean isIds() {
    return false;
  }

  /** The next row, or null behind the last. */
  abstract Row next();

  /** Which part of the file has been read, from 0 to 1. */
  abstract double fraction();

  /** Passes over at most so many rows. @return how many there were */
  long skip(long count) {
    long over = 0;
    while (over < count && next() != null) {
      over++;
    }
    return over;
  }

  @Override
  public abstract void close();

  /** Makes the fields of columns that are there, closing the file if one is not. */
  final void keep(List<Field> known, Field id, List<String> names) {
    try {
      if (id != null) {
        fields.add(id);
      }
      for (String name : names) {
        int place = Field.place(known, name);
        List<String> there = known.stream().map(Field::name).toList();
        String unknown = "%s: has no column '%s' that can be kept; it has [%s]";
        require(place >= 0, unknown, file, name, Excerpt.names(there));
        if (id == null || !name.equals(id.name())) {
          fields.add(known.get(place));
        }
      }
    } catch (PerformerException e) {
      close();
      throw e;
    }
  }

  /** The name of the column of texts; the first of the usual ones that is there. */
  static String text(Path file, RowSource.Columns columns, List<String> names, boolean ids) {
    if (columns.text() != null) {
      String unknown = "%s: has no column '%s'; it has [%s]";
      boolean isThere = names.contains(columns.text());
      require(isThere, unknown, file, columns.text(), Excerpt.names(names));
      return columns.text();
    }
    var usual = Stream.concat(TEXTS.stream(), Stream.of(TokenRows.TOKENS).filter(name -> ids));
    String text = usual.filter(names::contains).findFirst().orElse(null);
    String more = ids ? ", or one of token ids named tokens" : "";
    String unfit = "%s: has columns [%s]; expected one named sequence or text%s";
    require(text != null, unfit, file, Excerpt.names(names), more);
    return text;
  }

  static String id(Path file, RowSource.Columns columns, List<String> names) {
    String given = columns.id();
    String unknown = "%s: has no column '%s'; it has [%s]";
    boolean isThere = given == null || names.contains(given);
    require(isThere, unknown, file, given, Excerpt.names(names));
    return given != null ? given : names.contains("id") ? "id" : null;
  }

  /** The part that has been read of a file's bytes. */
  final double part(long consumed) {
    try {
      return DataFile.isStandardInput(file)
          ? 0
          : Math.min(1, (double) consumed / Math.max(1, Files.size(file)));
    } catch (IOException e) {
      throw DataFile.unreadable(file, e);
    }
  }

  /** What a row without an id is called: its number. */
  final String numbered(long row) {
    return "" + (before + row);
  }

  private static final class Table extends RowFile {
    private final TableFile.Rows rows;
    private final int text;
    private final int id;
    private final int[] kept;
    private long count;

    Table(Path file, RowSource.Columns columns) {
      super(file);
      rows = TableFile.of(file).open();
      try {
        List<String> names = rows.names();
        text = names.indexOf(text(file, columns, names, false));
        String named = id(file, columns, names);
        id = named == null ? -1 : names.indexOf(named);
        keep(names.stream().map(Field::text).toList(), Field.text("id"), columns.kept());
        kept = fields().stream().skip(1).mapToInt(f -> names.indexOf(f.name())).toArray();
      } catch (PerformerException e) {
        close();
        throw e;
      }
    }

    @Override
    Row next() {
      List<String> values = rows.raw();
      if (values == null) {
        return null;
      }
      count++;
      String fault = rows.fault(values);
      if (fault != null) {
        return new Row(file, "row", rows.number(), null, null, null, new Object[0], fault);
      }
      String name = id < 0 ? numbered(count) : values.get(id);
      Object[] others = new Object[kept.length];
      for (int i = 0; i < others.length; i++) {
        others[i] = values.get(kept[i]);
      }
      return new Row(file, "row", rows.number(), name, values.get(text), null, others, null);
    }

    @Override
    double fraction() {
      return part(rows.consumed());
    }

    @Override
    public void close() {
      rows.close();
    }
  }

  /** Token ids of an {@code .npz}. */
  private static final class Ids extends RowFile {
    private final NpzRows rows;
    private final OptionalInt pad;
    private final boolean hasMask;
    private long count;

    Ids(Path file, RowSource.Columns columns, OptionalInt pad) {
      super(file);
      this.pad = pad;
      List<String> names = new ArrayList<>(TokenRows.arrays(file));
      hasMask = names.size() == 2;
      Map<String, NpyHeader> all = NpzRows.headers(file);
      String unknown = "%s: has no array '%s' to keep; it has [%s]";
      for (String name : columns.kept()) {
        require(all.containsKey(name), unknown, file, name, Excerpt.names(all.keySet()));
      }
      names.addAll(columns.kept());
      rows = new NpzRows(file, names);
      List<Field> known = columns.kept().stream().map(name -> field(name, all.get(name))).toList();
      keep(known, Field.text("id"), columns.kept());
    }

    static Field field(String name, NpyHeader header) {
      int rank = header.shape().length - 1;
      int width = rank == 0 ? 0 : (int) header.shape()[rank];
      return rank < 1
          ? Field.number(name, header.type())
          : Field.numbers(name, header.type(), rank, width, false);
    }

    @Override
    boolean isIds() {
      return true;
    }

    @Override
    Row next() {
      NpyArray[] values = rows.next();
      if (values == null) {
        return null;
      }
      count++;
      int first = hasMask ? 2 : 1;
      Object[] others = Arrays.copyOfRange(values, first, values.length, Object[].class);
      String fault = null;
      int[] ids = null;
      try {
        ids = NpzRows.ids(values[0], hasMask ? values[1] : null, pad);
        for (int id : ids) {
          require(id >= 0, "tokens hold %d, which is no id", id);
        }
      } catch (PerformerException e) {
        fault = file + ", row " + count + ": " + e.getMessage();
      }
      return new Row(file, "row", count, numbered(count), null, ids, others, fault);
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

  /** Arrays that are no sequences. */
  private static final class Features extends RowFile {
    private final NpzRows rows;
    private long count;

    Features(Path file, RowSource.Columns columns) {
      super(file);
      List<String> names =
          Stream.concat(columns.arrays().stream(), columns.kept().stream()).toList();
      Map<String, NpyHeader> all = NpzRows.headers(file);
      rows = new NpzRows(file, names);
      keep(names.stream().map(name -> Ids.field(name, all.get(name))).toList(), null, names);
    }

    @Override
    Row next() {
      NpyArray[] values = rows.next();
      if (values == null) {
        return null;
      }
      count++;
      return new Row(file, "row", count, null, null, new int[0], values, null);
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

  private static final class Lines extends RowFile {
    private final DataFile.Lines lines;

    Lines(Path file, RowSource.Columns columns) {
      super(file);
      lines = new DataFile.Lines(file);
      keep(List.of(), Field.text("id"), columns.kept());
    }

    @Override
    Row next() {
      String line = lines.nextText();
      if (line == null) {
        return null;
      }
      boolean isMarked = lines.number() == 1 && line.startsWith("\uFEFF"); // a byte order mark
      String text = (isMarked ? line.substring(1) : line).strip();
      String name = "" + lines.number();
      return new Row(file, "line", lines.number(), name, text, null, new Object[0], null);
    }

    @Override
    double fraction() {
      return part(lines.consumed());
    }

    @Override
    public void close() {
      lines.close();
    }
  }

  private static final class Fasta extends RowFile {
    private final FastaReader reader;
    private final boolean isDescribed;
    private long count;

    Fasta(Path file, RowSource.Columns columns) {
      super(file);
      reader = new FastaReader(file);
      keep(List.of(Field.text("description")), Field.text("id"), columns.kept());
      isDescribed = fields().size() > 1;
    }

    @Override
    Row next() {
      ProteinSequence own = reader.next();
      if (own == null) {
        return null;
      }
      count++;
      Object[] kept = isDescribed ? new Object[] {own.description()} : new Object[0];
      return new Row(file, "sequence", count, own.id(), own.residues(), null, kept, null);
    }

    @Override
    double fraction() {
      return part(reader.consumed());
    }

    @Override
    public void close() {
      reader.close();
    }
  }
}
