package dev.performer.serving;

import java.util.List;
import java.util.OptionalInt;

/** Where the logits of a batch's next tokens come from. Safe for use from many threads. */
interface Decoder {
  Limits limits();

  /** Reads prompts. */
  Texts begin(List<int[]> prompts);

  /**
   * What a model takes.
   *
   * @param vocabularySize how many tokens it has logits for
   * @param pad the token that is padding to it
   * @param positions tokens of a text at most; empty for no limit
   * @param startsItself whether it puts a begin token in front
   */
  record Limits(int vocabularySize, OptionalInt pad, OptionalInt positions, boolean startsItself) {}

  /** The texts of a batch, of which one call knows. */
  interface Texts extends AutoCloseable {
    /** Of the token behind each text, {@code [B, V]}; anything for one that has ended. */
    float[] logits();

    /** Reads one more token of each text that has not ended. */
    void add(int[] tokens, boolean[] ended);

    @Override
    default void close() {}
  }
}
