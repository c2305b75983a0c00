package dev.performer.data;

import dev.performer.PerformerException;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.OptionalInt;

/**
 * Several examples in one row of a length, each with a separator, such as the end token, behind.
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
    Rows rows = new Rows();
    return DataStream.of(() -> rows.next(examples, name), examples::close);
  }

  private final class Rows {
    // What of the current example, its separator included, is in no row yet.
    private int[] rest = {};
    private float[] restWeights = {};
    private int restStart;
    private boolean weighted;

    Example next(DataStream<Example> examples, String name) {
      IntBuffer row = IntBuffer.allocate(length);
      FloatBuffer weights = FloatBuffer.allocate(length);
      while (row.hasRemaining() && (restStart < rest.length || nextExample(examples, name))) {
        int count = Math.min(rest.length - restStart, row.remaining());
        if (mode == Mode.WHOLE && restStart + count < rest.length && row.position() > 0) {
          break;
        }
        row.put(rest, restStart, count);
        weights.put(restWeights, restStart, count);
        restStart += count;
      }
      int filled = row.position();
      if (filled == 0) {
        return null;
      }
      int[] tokens = Arrays.copyOf(row.array(), filled);
      return weighted
          ? new Example(tokens, new Label.Weights(Arrays.copyOf(weights.array(), filled)))
          : Example.of(tokens);
    }

    private boolean nextExample(DataStream<Example> examples, String name) {
      Example example;
      do {
        if (!examples.hasNext()) {
          return false;
        }
        example = examples.next();
      } while (example.tokens().length == 0);
      int end = example.tokens().length;
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
