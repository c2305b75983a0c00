package dev.performer.data;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * A column of rows. Its values are a {@code String}, or an {@link NpyArray} with the shape of one
 * row; null where a row has none.
 *
 * @param type of its numbers; null for text
 * @param rank dimensions of a row's value; 0 for a single one
 * @param width the last dimension where all rows have the same, else 0
 * @param perToken whether the first dimension are a row's tokens
 * @param padding what fills up shorter rows in an array
 * @param label its name in a table of text; of a vector, what stands before the number of a place
 * @param formats the files that have it
 */
public record Field(
    String name,
    NpyType type,
    int rank,
    int width,
    boolean perToken,
    long padding,
    String label,
    Set<RowFormat> formats) {
  private static final Set<RowFormat> ALL =
      EnumSet.of(RowFormat.CSV, RowFormat.PARQUET, RowFormat.NPZ);

  /** A text, which arrays do not hold. */
  public static Field text(String name) {
    return new Field(
        name, null, 0, 0, false, 0, name, EnumSet.of(RowFormat.CSV, RowFormat.PARQUET));
  }

  /** One number a row. */
  public static Field number(String name, NpyType type) {
    return new Field(name, type, 0, 0, false, 0, name, ALL);
  }

  /** Numbers a row. */
  public static Field numbers(String name, NpyType type, int rank, int width, boolean perToken) {
    return new Field(name, type, rank, width, perToken, 0, name + "_", ALL);
  }

  /** The same under another name in tables of text. */
  public Field labelled(String other) {
    return new Field(name, type, rank, width, perToken, padding, other, formats);
  }

  /** The same with another filling. */
  public Field padded(long value) {
    return new Field(name, type, rank, width, perToken, value, label, formats);
  }

  /** The same in some files alone. */
  public Field in(RowFormat... some) {
    return new Field(name, type, rank, width, perToken, padding, label, Set.of(some));
  }

  /** The name by which tables know its type. */
  String typeLabel() {
    return (rank == 0 ? "" : "list of ".repeat(rank)) + (type == null ? "text" : type.label());
  }

  /** The place of a name; -1 if it is not there. */
  public static int place(List<Field> fields, String name) {
    for (int i = 0; i < fields.size(); i++) {
      if (fields.get(i).name.equals(name)) {
        return i;
      }
    }
    return -1;
  }
}
