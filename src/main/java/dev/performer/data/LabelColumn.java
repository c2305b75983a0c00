package dev.performer.data;

import java.util.List;

/** What the label column of a table holds. */
public sealed interface LabelColumn {
  /** There is none. */
  record None() implements LabelColumn {}

  /**
   * Names of classes; a name's place in the list is its id.
   *
   * @param column its name, or its number from 1 where the table has no header
   * @param names all classes, as {@link TableExamples#categories} finds them
   */
  record Categories(String column, List<String> names) implements LabelColumn {
    public Categories {
      names = List.copyOf(names);
    }
  }

  /**
   * Numbers.
   *
   * @param column its name, or its number from 1 where the table has no header
   */
  record Values(String column) implements LabelColumn {}
}
