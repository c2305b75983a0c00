package dev.performer.data;

import java.util.Arrays;

/**
 * Writes a text while its ids come one at a time: no character is cut, and what was written is
 * never taken back.
 */
public final class TextStream {
  /** What a decoder puts where bytes are no character, or not yet. */
  private static final char UNFINISHED = '\uFFFD';

  private final Tokenizer tokenizer;
  private int[] ids = new int[16];
  private int length;
  // Ids from here on are decoded together, as some decoders join words by what stands before.
  private int context;
  private int written;

  /**
   * @param before ids that are written already, such as those of a prompt
   */
  public TextStream(Tokenizer tokenizer, int[] before) {
    this.tokenizer = tokenizer;
    // A few tokens tell how the next is joined.
    int from = Math.max(0, before.length - 8);
    for (int i = from; i < before.length; i++) {
      append(before[i]);
    }
    written = length;
  }

  /** Adds an id. @return the text that is certain now, often empty */
  public String add(int id) {
    append(id);
    String old = text(context, written);
    String all = text(context, length);
    boolean isLonger = all.length() > old.length() && all.startsWith(old);
    if (!isLonger || all.charAt(all.length() - 1) == UNFINISHED) {
      return "";
    }
    context = written;
    written = length;
    return all.substring(old.length());
  }

  /** What is left at the end, such as bytes that never became a character. */
  public String rest() {
    String old = text(context, written);
    String all = text(context, length);
    written = length;
    return all.startsWith(old) ? all.substring(old.length()) : "";
  }

  private void append(int id) {
    if (length == ids.length) {
      ids = Arrays.copyOf(ids, 2 * length);
    }
    ids[length++] = id;
  }

  private String text(int from, int to) {
    return tokenizer.decode(Arrays.copyOfRange(ids, from, to));
  }
}
