package dev.performer.data;

import java.util.List;

/** Vocabularies of protein models. Their tokens are single letters. */
public final class ProteinVocabulary {
  private static final String GOOGLE = "ACDEFGHIKLMNPQRSTVWYBOUXZ<>_*";
  private static final String PAD_FIRST = "_*ACDEFGHIKLMNPQRSTVWYBUXZ";

  private ProteinVocabulary() {}

  /**
   * The 29 tokens of Google's protein_lm: 20 amino acids 0–19, B O U X Z 20–24, begin {@code <} 25,
   * end {@code >} 26, padding {@code _} 27, mask {@code *} 28.
   *
   * @see <a
   *     href="https://github.com/google-research/google-research/blob/master/protein_lm/domains.py">domains.py</a>
   */
  public static Vocabulary google() {
    return Vocabulary.of(letters(GOOGLE), "_", "*", "<", ">", "X");
  }

  /**
   * 26 tokens with padding first: padding {@code _} 0, mask {@code *} 1, the 20 amino acids in
   * alphabetical order 2–21, B U X Z 22–25; no begin, no end. A usual layout for Keras models,
   * whose embeddings mask id 0. A model does not say which letter an id was in its training, so
   * this is right only for models made with it.
   */
  public static Vocabulary padFirst() {
    return Vocabulary.of(letters(PAD_FIRST), "_", "*", null, null, "X");
  }

  /** One token per character. */
  public static List<String> letters(String tokens) {
    return tokens.codePoints().mapToObj(Character::toString).toList();
  }
}
