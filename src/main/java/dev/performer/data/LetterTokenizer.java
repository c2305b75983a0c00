package dev.performer.data;

/**
 * One letter, one token, as protein models have it; see {@link ResidueEncoder}. The end token, if
 * there is one, stands behind whole sequences.
 *
 * @param label such as {@code google-protein}
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
    StringBuilder text = new StringBuilder(ids.length);
    for (int id : ids) {
      text.append(vocabulary.isSpecial(id) ? "" : vocabulary.tokens().get(id));
    }
    return text.toString();
  }

  @Override
  public int[] suffix() {
    return vocabulary.eos().stream().toArray();
  }
}
