package dev.performer.study;

import dev.performer.PerformerException;
import java.util.List;

/**
 * Sizes that all cases of a benchmark have.
 *
 * @param batch B
 * @param heads H
 * @param headSize D
 * @param features M of the kernels that estimate softmax
 */
public record BenchmarkSize(int batch, int heads, int headSize, int features) {
  /**
   * @throws PerformerException if one is below 1
   */
  public BenchmarkSize {
    for (int value : List.of(batch, heads, headSize, features)) {
      if (value < 1) {
        throw new PerformerException(
            "batch, heads, head size and features must be at least 1, not " + value);
      }
    }
  }

  /** E, the width of a model of these heads. */
  int hiddenSize() {
    return Math.multiplyExact(heads, headSize);
  }

  /** Sequence lengths, checked. @throws PerformerException unless there are some, all positive */
  static List<Integer> checked(List<Integer> lengths) {
    if (lengths.isEmpty() || lengths.stream().anyMatch(length -> length < 1)) {
      throw new PerformerException("lengths must be positive numbers, not " + lengths);
    }
    return List.copyOf(lengths);
  }
}
