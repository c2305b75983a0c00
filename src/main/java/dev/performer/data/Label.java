package dev.performer.data;

/** What is to be learnt of an example, beside its tokens. */
public sealed interface Label {
  /** Nothing but the tokens themselves: language modelling. */
  Label NONE = new None();

  /** The tokens are all there is. */
  record None() implements Label {}

  /** A class, from 0. */
  record Category(int id) implements Label {}

  /** A number to regress to. */
  record Value(float value) implements Label {}

  /** The sequence that a decoder has to write. */
  record Target(int[] tokens) implements Label {}

  /** How much the guess of each token counts; 0 where it is given. */
  record Weights(float[] weights) implements Label {}

  /** Several numbers, or 0 and 1 for each of several labels; NaN where one is not known. */
  record Values(float[] values) implements Label {}

  /** The class of each token; −1 where none is to be guessed. */
  record Tags(int[] ids) implements Label {}
}
