package dev.performer.data;

/** One thing to learn from: ids, of which there may be none, and what else is known of it. */
public record Example(int[] tokens, Label label) {
  /** Refuses weights or classes for another number of tokens. */
  public Example {
    int labelled =
        label instanceof Label.Weights weighted
            ? weighted.weights().length
            : label instanceof Label.Tags tags ? tags.ids().length : tokens.length;
    if (labelled != tokens.length) {
      throw new IllegalArgumentException(labelled + " labels for " + tokens.length + " tokens");
    }
  }

  /** Tokens alone. */
  public static Example of(int... tokens) {
    return new Example(tokens, Label.NONE);
  }
}
