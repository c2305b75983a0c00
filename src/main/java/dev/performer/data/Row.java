package dev.performer.data;

import java.nio.file.Path;

/**
 * A row that is read: a text or token ids, and the values of fields that are kept.
 *
 * @param unit what is counted in the file: {@code row}, {@code line}, {@code sequence}
 * @param number of the row in its file, from 1
 * @param id what it is called: a text, or an {@link NpyArray} of one number
 * @param text null where there are ids
 * @param ids without padding; null where there is a text
 * @param kept of the fields of its source, in their order
 * @param fault why it cannot be used, in a line that names its place; null if it can be
 */
public record Row(
    Path file,
    String unit,
    long number,
    Object id,
    String text,
    int[] ids,
    Object[] kept,
    String fault) {
  /** Where it stands, to begin a message with. */
  public String where() {
    return file + ", " + unit + " " + number;
  }

  /** The name that a person sees. */
  public String name() {
    if (id instanceof NpyArray number) {
      boolean isFloat = number.type() == NpyType.FLOAT32 || number.type() == NpyType.FLOAT64;
      return isFloat ? "" + number.doubles()[0] : "" + number.longs()[0];
    }
    return id == null ? "" : id.toString();
  }
}
