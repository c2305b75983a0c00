package dev.performer.data;

import java.util.Arrays;

/** Writes a text while its ids come one at a time: no character is cut, nothing is taken back. */
public final class TextStream {
  private static final String UNFINISHED = "\uFFFD"; // no character, or none yet

  private final Tokenizer tokenizer;
  // Decoded together, as some decoders join words by what stands before.
  private int[] ids;
  private int written; // of these

  /** Behind ids that are written already, such as those of a prompt. */
  public TextStream(Tokenizer tokenizer, int[] before) {
    this.tokenizer = tokenizer;
    // A few tokens tell how the next is joined.
    ids = Arrays.copyOfRange(before, Math.max(0, before.length - 8), before.length);
    written = ids.length;
  }

  /** Adds an id. @return the text that is certain now, often empty */
  public String add(int id) {
    ids = Arrays.copyOf(ids, ids.length + 1);
    ids[ids.length - 1] = id;
    String more = more();
    if (more.isEmpty() || more.endsWith(UNFINISHED)) {
      return "";
    }
    ids = Arrays.copyOfRange(ids, written, ids.length);
    written = ids.length;
    return more;
  }

  /** What is left at the end, such as bytes that never became a character. */
  public String rest() {
    String more = more();
    written = ids.length;
    return more;
  }

  private String more() {
    String old = tokenizer.decode(Arrays.copyOf(ids, written));
    String all = tokenizer.decode(ids);
    return all.startsWith(old) ? all.substring(old.length()) : "";
  }
}
