package dev.performer.data;

/** How many sequences a batch has. */
public sealed interface BatchSize {
  /** The number of sequences in a batch that is padded to {@code length}; at least 1. */
  int rows(int length);

  private static void requireAny(int count, String what) {
    if (count < 1) {
      throw new IllegalArgumentException("a batch needs at least 1 " + what + ", not " + count);
    }
  }

  /** As many sequences as fit into a number of tokens, padding included. */
  record Tokens(int tokens) implements BatchSize {
    public Tokens {
      requireAny(tokens, "token");
    }

    @Override
    public int rows(int length) {
      return Math.max(1, tokens / length);
    }
  }

  /** Always the same number of sequences (the last batch of an epoch may have fewer). */
  record Sequences(int count) implements BatchSize {
    public Sequences {
      requireAny(count, "sequence");
    }

    @Override
    public int rows(int length) {
      return count;
    }
  }
}
