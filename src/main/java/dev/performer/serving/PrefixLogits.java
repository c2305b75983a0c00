package dev.performer.serving;

import java.util.List;
import java.util.OptionalInt;

/**
 * A causal language model without states, which reads a text from its beginning for each new token.
 * Safe for use from many threads; whoever made it closes it.
 */
public interface PrefixLogits {
  /** How many tokens it has logits for. */
  int vocabularySize();

  /** Tokens of a text at most; empty for no limit. */
  OptionalInt positions();

  /** Whether it puts a begin token in front, so that a text may be empty. */
  boolean startsItself();

  /** Of the token behind each text, {@code [B, V]}. */
  float[] after(List<int[]> texts);
}
