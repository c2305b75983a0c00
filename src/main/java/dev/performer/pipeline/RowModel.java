package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.Field;
import dev.performer.data.Row;
import dev.performer.data.Tokenizer;
import java.nio.file.Path;
import java.util.List;

/** What a model gives for each of many rows. Safe for use by several threads. */
public interface RowModel {
  /** A row and its token ids; without any where it holds arrays. */
  record Item(Row row, Tokenizer.Encoding encoding) {
    /** Tokens. */
    int length() {
      return encoding.ids().length;
    }
  }

  /** How rows become tokens; null where they are arrays. */
  TokenInput input();

  /** The arrays that rows are of, where they are no sequences. */
  default List<String> arrays() {
    return List.of();
  }

  /** The SavedModel directory. */
  Path model();

  /** All that decides on its results but the model's files, in a line. */
  String description();

  /**
   * What it gives for a row.
   *
   * @param sample a row
   * @param length tokens that it is padded to
   * @param longer another such length, or the same where there is none
   */
  List<Field> fields(Item sample, int length, int longer);

  /**
   * The values of rows that run together.
   *
   * @param length tokens that rows are padded to at least
   * @param fields of {@link #fields}
   * @throws PerformerException if the model fails
   */
  List<Object[]> run(List<Item> items, int length, List<Field> fields);

  /** What is added up over rows. @param values of a row; null for zeros */
  default double[] sums(Object[] values) {
    return new double[0];
  }
}
