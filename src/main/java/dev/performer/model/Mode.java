package dev.performer.model;

import org.tensorflow.Operand;
import org.tensorflow.types.TInt64;

/** Whether dropout works. */
public sealed interface Mode {
  /** Nothing is dropped. */
  record Inference() implements Mode {}

  /**
   * Dropout, by stateless random numbers.
   *
   * @param seed {@code [2]}; another seed, such as one that holds the step, drops other elements
   */
  record Training(Operand<TInt64> seed) implements Mode {}

  /** Nothing is dropped. */
  static Mode inference() {
    return new Inference();
  }

  /** Dropout by a seed {@code [2]}. */
  static Mode training(Operand<TInt64> seed) {
    return new Training(seed);
  }
}
