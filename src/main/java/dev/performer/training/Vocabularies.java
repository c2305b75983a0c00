package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;

/** The vocabulary of a model: what its {@code performer.json} says, or what a person says. */
public final class Vocabularies {
  /** Google's 29 protein tokens. */
  public static final String GOOGLE_PROTEIN = "google-protein";

  /** 26 protein tokens, padding first. */
  public static final String PAD_FIRST_PROTEIN = "pad-first-protein";

  /** Followed by one letter per token: {@code letters:_*ACDE…}; {@code _} is padding, {@code *} the mask, {@code <} and {@code >} begin and end. */
  public static final String LETTERS = "letters:";

  private Vocabularies() {}

  /**
   * The vocabulary of a name.
   *
   * @param name one of the constants
   * @throws PerformerException if there is none
   */
  public static Vocabulary named(String name) {
    if (name.equals(GOOGLE_PROTEIN)) {
      return ProteinVocabulary.google();
    }
    if (name.equals(PAD_FIRST_PROTEIN)) {
      return ProteinVocabulary.padFirst();
    }
    if (name.startsWith(LETTERS) && name.length() > LETTERS.length()) {
      List<String> tokens = ProteinVocabulary.letters(name.substring(LETTERS.length()));
      try {
        return Vocabulary.of(tokens, "_", "*", "<", ">", "X");
      } catch (IllegalArgumentException e) {
        throw new PerformerException("vocabulary '" + name + "': " + e.getMessage(), e);
      }
    }
    throw new PerformerException(
        "no vocabulary '" + name + "'; known are " + GOOGLE_PROTEIN + ", " + PAD_FIRST_PROTEIN + " and " + LETTERS + "ABC… (one letter per token)");
  }

  /**
   * The vocabulary that a card describes.
   *
   * @param file whose card it is, for messages
   * @throws PerformerException if the card contradicts itself
   */
  public static Vocabulary of(ModelCard.Vocabulary card, Path file) {
    if (card.tokens() == null) {
      return named(card.name() == null ? "" : card.name());
    }
    try {
      int unknown = card.tokens().indexOf("X");
      return new Vocabulary(
          card.tokens(),
          id(card.padId()),
          id(card.maskId()),
          id(card.bosId()),
          id(card.eosId()),
          unknown < 0 ? OptionalInt.empty() : OptionalInt.of(unknown));
    } catch (IllegalArgumentException e) {
      throw new PerformerException(file.resolve(ModelCard.FILE) + ": key vocabulary: " + e.getMessage(), e);
    }
  }

  /** The card's description of a vocabulary. */
  public static ModelCard.Vocabulary card(String name, Vocabulary vocabulary) {
    return new ModelCard.Vocabulary(
        name,
        vocabulary.tokens(),
        boxed(vocabulary.pad()),
        boxed(vocabulary.mask()),
        boxed(vocabulary.bos()),
        boxed(vocabulary.eos()));
  }

  private static OptionalInt id(Integer id) {
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  private static Integer boxed(OptionalInt id) {
    return id.isPresent() ? id.getAsInt() : null;
  }
}
