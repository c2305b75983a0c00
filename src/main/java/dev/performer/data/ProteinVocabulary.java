package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.util.List;

/** Vocabularies of protein models. Their tokens are single letters. */
public final class ProteinVocabulary {
  public static final String GOOGLE_NAME = "google-protein";
  public static final String PAD_FIRST_NAME = "pad-first-protein";
  private static final String LETTERS = "letters:";
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
   * alphabetical order 2–21, B U X Z 22–25. A usual layout for Keras models, whose embeddings mask
   * id 0; a model does not say which letter an id was: right only for models made with it.
   */
  public static Vocabulary padFirst() {
    return Vocabulary.of(letters(PAD_FIRST), "_", "*", null, null, "X");
  }

  /**
   * The vocabulary of {@code google-protein}, {@code pad-first-protein}, or {@code letters:ABC…},
   * one letter per token: {@code _} is padding, {@code *} mask, {@code <} begin, {@code >} end.
   */
  public static Vocabulary named(String name) {
    if (name.equals(GOOGLE_NAME)) {
      return google();
    } else if (name.equals(PAD_FIRST_NAME)) {
      return padFirst();
    }
    boolean isLetters = name.startsWith(LETTERS) && name.length() > LETTERS.length();
    String unknown = "no vocabulary '%s'; known are %s, %s and %sABC… (one letter per token)";
    require(isLetters, unknown, name, GOOGLE_NAME, PAD_FIRST_NAME, LETTERS);
    try {
      return Vocabulary.of(letters(name.substring(LETTERS.length())), "_", "*", "<", ">", "X");
    } catch (IllegalArgumentException e) {
      throw new PerformerException("vocabulary '" + name + "': " + e.getMessage(), e);
    }
  }

  /** One token per character. */
  public static List<String> letters(String tokens) {
    return tokens.codePoints().mapToObj(Character::toString).toList();
  }
}
