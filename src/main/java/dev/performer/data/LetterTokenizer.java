package dev.performer.data;

import java.util.stream.IntStream;

/**
 * One letter, one token, as protein models have it; see {@link ResidueEncoder}. The end token, if
 * there is one, stands behind whole sequences.
 */
public record LetterTokenizer(String label, Vocabulary vocabulary) implements Tokenizer {
  public LetterTokenizer(Vocabulary vocabulary) {
    this("single letters", vocabulary);
  }

  @Override
  public TextEncoder encoder() {
    return new ResidueEncoder(vocabulary);
  }

  @Override
  public String decode(int[] ids) {
    return vocabulary.decode(IntStream.of(ids).filter(id -> !vocabulary.isSpecial(id)).toArray());
  }

  @Override
  public int[] suffix() {
    return vocabulary.eos().stream().toArray();
  }
}
