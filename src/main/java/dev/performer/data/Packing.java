package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Arrays;
import java.util.OptionalInt;

/**
 * Several examples in one row, so that little of it is padding.
 *
 * @param length tokens of a row at most
 * @param separator token after each example, such as the end token; empty for none
 */
public record Packing(int length, OptionalInt separator, Mode mode) {
  /** What happens at the end of a row. */
  public enum Mode {
    /** The example starts the next row; only one longer than a row is cut. */
    WHOLE,
    /** The example goes on in the next row: every row but the last is full (protein_lm's). */
    SPLIT
  }

  /** Packs a stream; closing the result closes it. Labels other than weights cannot be packed. */
  DataStream<Example> apply(DataStream<Example> examples, String name) {
    return DataStream.of(new Rows(examples, name)::next, examples::close);
  }

  private final class Rows {
    private final DataStream<Example> examples;
    private final String name;
    private boolean weighted;

    // What of the current example, its separator included, is in no row yet.
    private int[] rest = {};
    private float[] restWeights = {};
    private int restStart;

    Rows(DataStream<Example> examples, String name) {
      this.examples = examples;
      this.name = name;
    }

    Example next() {
      int[] row = new int[length];
      float[] weights = new float[length];
      int filled = 0;
      while (filled < length && (restStart < rest.length || nextExample())) {
        int left = rest.length - restStart;
        int room = length - filled;
        if (mode == Mode.WHOLE && left > room && filled > 0) {
          break;
        }
        int count = Math.min(left, room);
        System.arraycopy(rest, restStart, row, filled, count);
        System.arraycopy(restWeights, restStart, weights, filled, count);
        restStart += count;
        filled += count;
      }
      if (filled == 0) {
        return null;
      }
      Label label = weighted ? new Label.Weights(Arrays.copyOf(weights, filled)) : Label.NONE;
      return new Example(Arrays.copyOf(row, filled), label);
    }

    private boolean nextExample() {
      int tokens = 0;
      Example example = null;
      while (tokens == 0) {
        if (!examples.hasNext()) {
          return false;
        }
        example = examples.next();
        tokens = example.tokens().length;
      }
      int end = tokens;
      rest = Arrays.copyOf(example.tokens(), end + (separator.isPresent() ? 1 : 0));
      restWeights = new float[rest.length];
      restStart = 0;
      separator.ifPresent(token -> rest[end] = token);
      if (example.label() instanceof Label.Weights label) {
        System.arraycopy(label.weights(), 0, restWeights, 0, end);
        weighted = true;
      } else if (example.label() instanceof Label.None) {
        Arrays.fill(restWeights, 1);
      } else {
        throw new PerformerException(
            name + ": examples with labels cannot be packed; leave packing out");
      }
      return true;
    }
  }
}
