package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Arrays;

/** The rows of {@link Packing}. */
final class PackedExamples extends LookAhead<Example> {
  private final DataStream<Example> examples;
  private final Packing packing;
  private final String name;

  private int[] row;
  private float[] weights;
  private int filled;
  private boolean weighted;

  // What of the current example, its separator included, is in no row yet.
  private int[] rest = {};
  private float[] restWeights = {};
  private int restStart;

  PackedExamples(DataStream<Example> examples, Packing packing, String name) {
    this.examples = examples;
    this.packing = packing;
    this.name = name;
    begin();
  }

  @Override
  protected Example read() {
    while (filled < packing.length()) {
      if (restStart == rest.length && !nextExample()) {
        break;
      }
      int left = rest.length - restStart;
      int room = packing.length() - filled;
      boolean whole = packing.mode() == Packing.Mode.WHOLE;
      if (whole && left > room && filled > 0) {
        break;
      }
      int count = Math.min(left, room);
      System.arraycopy(rest, restStart, row, filled, count);
      System.arraycopy(restWeights, restStart, weights, filled, count);
      restStart += count;
      filled += count;
    }
    return filled == 0 ? null : finish();
  }

  @Override
  public void close() {
    examples.close();
  }

  private boolean nextExample() {
    while (examples.hasNext()) {
      Example example = examples.next();
      int tokens = example.tokens().length;
      if (tokens == 0) {
        continue;
      }
      int length = tokens + (packing.separator().isPresent() ? 1 : 0);
      rest = Arrays.copyOf(example.tokens(), length);
      restWeights = new float[length];
      packing.separator().ifPresent(token -> rest[tokens] = token);
      if (example.label() instanceof Label.Weights label) {
        System.arraycopy(label.weights(), 0, restWeights, 0, tokens);
        weighted = true;
      } else if (example.label() instanceof Label.None) {
        Arrays.fill(restWeights, 1);
      } else {
        throw new PerformerException(
            name + ": examples with labels cannot be packed; leave packing out");
      }
      restStart = 0;
      return true;
    }
    return false;
  }

  private Example finish() {
    int[] tokens = Arrays.copyOf(row, filled);
    Label label = weighted ? new Label.Weights(Arrays.copyOf(weights, filled)) : Label.NONE;
    begin();
    return new Example(tokens, label);
  }

  private void begin() {
    row = new int[packing.length()];
    weights = new float[packing.length()];
    filled = 0;
  }
}
