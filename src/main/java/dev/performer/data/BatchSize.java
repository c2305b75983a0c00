package dev.performer.data;

/** How many sequences a batch has. */
public sealed interface BatchSize {
  /** The number of sequences in a batch that is padded to {@code length}; at least 1. */
  int rows(int length);

  /** As many sequences as fit into a number of tokens, padding included. */
  record Tokens(int tokens) implements BatchSize {
    public Tokens {
      if (tokens < 1) {
        throw new IllegalArgumentException("a batch needs at least 1 token, not " + tokens);
      }
    }

    @Override
    public int rows(int length) {
      return Math.max(1, tokens / length);
    }
  }

  /** Always the same number of sequences (the last batch of an epoch may have fewer). */
  record Sequences(int count) implements BatchSize {
    public Sequences {
      if (count < 1) {
        throw new IllegalArgumentException("a batch needs at least 1 sequence, not " + count);
      }
    }

    @Override
    public int rows(int length) {
      return count;
    }
  }
}
