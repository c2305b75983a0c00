package dev.performer.data;

/** One thing to learn from: ids, of which there may be none, and what else is known of it. */
public record Example(int[] tokens, Label label) {
  /** Refuses weights for another number of tokens. */
  public Example {
    if (label instanceof Label.Weights weighted && weighted.weights().length != tokens.length) {
      throw new IllegalArgumentException(
          weighted.weights().length + " weights for " + tokens.length + " tokens");
    }
  }

  /** Tokens alone. */
  public static Example of(int... tokens) {
    return new Example(tokens, Label.NONE);
  }
}
