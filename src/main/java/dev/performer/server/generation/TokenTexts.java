package dev.performer.server.generation;

import dev.performer.data.Tokenizer;

/** What single tokens are called: their text where they have one, else their name. */
public record TokenTexts(Tokenizer tokenizer) {
  /** Of a token; differs from token to token, as far as their names do. */
  public String of(int id) {
    String text = tokenizer.decode(new int[] {id});
    boolean isText = !text.isEmpty() && text.indexOf('\uFFFD') < 0;
    var names = tokenizer.vocabulary().tokens();
    return isText || id >= names.size() ? text : names.get(id);
  }
}
