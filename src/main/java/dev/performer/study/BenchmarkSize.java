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
    int least = Math.min(Math.min(batch, heads), Math.min(headSize, features));
    PerformerException.require(
        least > 0, "batch, heads, head size and features must be at least 1, not %d", least);
  }

  /** E, the width of a model of these heads. */
  int hiddenSize() {
    return Math.multiplyExact(heads, headSize);
  }

  /** Sequence lengths. @throws PerformerException unless there are some, all positive */
  static List<Integer> checked(List<Integer> lengths) {
    PerformerException.require(
        !lengths.isEmpty() && lengths.stream().allMatch(length -> length > 0),
        "lengths must be positive numbers, not %s",
        lengths);
    return List.copyOf(lengths);
  }
}
