package dev.performer.data;

import java.util.List;
import java.util.SplittableRandom;

/**
 * Random symbols, a separator, and the same symbols again; only the second time counts. No window
 * shorter than half the length can solve it. Each example comes from the seed and its number alone.
 *
 * @param length tokens of an example at most: two halves and the separator, so an odd number
 */
public record CopyTask(int length, int symbols, long size, long seed) implements MadeUpExamples {
  private static final int PURPOSE = 101;

  public CopyTask {
    if (length < 3 || symbols < 2 || size < 1) {
      throw new IllegalArgumentException(
          "expected length >= 3, symbols >= 2, size >= 1: " + List.of(length, symbols, size));
    }
  }

  /** The symbols, the separator, padding. */
  @Override
  public Vocabulary vocabulary() {
    return Vocabulary.of(Vocabulary.numbered("s", " ", symbols), "<copy>", "<pad>");
  }

  @Override
  public String name() {
    return "copy task";
  }

  @Override
  public Example get(long index) {
    int half = (length - 1) / 2;
    SplittableRandom random = Seeds.random(seed, PURPOSE, index);
    int[] tokens = new int[2 * half + 1];
    float[] weights = new float[tokens.length];
    tokens[half] = symbols;
    for (int i = 0; i < half; i++) {
      tokens[i] = random.nextInt(symbols);
      tokens[half + 1 + i] = tokens[i];
      weights[half + 1 + i] = 1;
    }
    return new Example(tokens, new Label.Weights(weights));
  }
}
