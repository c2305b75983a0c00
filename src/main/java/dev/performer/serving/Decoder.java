package dev.performer.serving;

import java.io.IOException;
import java.util.List;
import java.util.OptionalInt;

/** What continues texts, several at a time. Safe for use from many threads. */
interface Decoder extends AutoCloseable {
  Limits limits();

  /**
   * Reads more tokens of texts, together.
   *
   * @param before what was read of each, which stays the caller's; null in all for beginnings
   * @return what is read then, each the caller's to close
   */
  List<TextState> read(List<TextState> before, List<int[]> tokens);

  /** How many tokens of a text one call of {@link #read} takes, where memory allows so many. */
  int chunk(int wished, boolean isBeginning);

  /** Whether {@link #read} takes texts of different lengths that are not beginnings. */
  boolean readsTogether();

  /** Whether what was read of one text saves time for another that begins the same. */
  boolean hasStates();

  /**
   * A batch of some rows of one before, which is closed, and of more texts behind them.
   *
   * @param before null for none
   */
  Batch join(Batch before, int[] kept, List<TextState> more);

  /**
   * A text that was written elsewhere. @throws dev.performer.PerformerException if it does not fit
   */
  TextState restore(int[] ids, float[] logits, StateFile.Source states) throws IOException;

  /** Frees what it keeps of its own, when no call is under way. */
  @Override
  default void close() {}

  /**
   * What a model takes.
   *
   * @param vocabularySize how many tokens it has logits for
   * @param pad the token that is padding to it
   * @param positions tokens of a text at most; empty for no limit
   * @param startsItself whether it puts a begin token in front
   */
  record Limits(int vocabularySize, OptionalInt pad, OptionalInt positions, boolean startsItself) {
    int shift() {
      return startsItself ? 1 : 0;
    }
  }

  /** Texts that grow by one token each at a time; one thread uses it. */
  interface Batch extends AutoCloseable {
    /** Reads one more token of each. @return logits of the tokens behind them, {@code [B, V]} */
    float[] step(int[] tokens);

    /** A copy of one text. @param ids what was read of it */
    TextState take(int row, int[] ids);

    @Override
    void close();
  }
}
