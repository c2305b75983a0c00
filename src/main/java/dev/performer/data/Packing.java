package dev.performer.data;

import java.util.OptionalInt;

/**
 * Several examples in one row, so that little of it is padding.
 *
 * @param length tokens of a row at most
 * @param separator token after each example, such as the end token; empty for none
 * @param mode what happens to an example that does not fit into the rest of a row
 */
public record Packing(int length, OptionalInt separator, Mode mode) {
  /** What happens at the end of a row. */
  public enum Mode {
    /** The example starts the next row; only one longer than a row is cut. */
    WHOLE,
    /** The example goes on in the next row: every row but the last is full (protein_lm's). */
    SPLIT
  }

  public Packing {
    if (length < 1) {
      throw new IllegalArgumentException("length must be positive, not " + length);
    }
  }

  /**
   * Packs a stream; closing the result closes it. Labels other than weights cannot be packed.
   *
   * @param name of the source, for errors
   */
  DataStream<Example> apply(DataStream<Example> examples, String name) {
    return new PackedExamples(examples, this, name);
  }
}
