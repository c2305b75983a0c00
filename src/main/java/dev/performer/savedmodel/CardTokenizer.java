package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.performer.PerformerException;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.IdTokenizer;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import java.util.OptionalInt;

/** What turns texts into token ids, from the vocabulary of a model's card. */
public final class CardTokenizer {
  /** The name under which a card may leave out the tokens of Google's protein vocabulary. */
  public static final String PROTEIN = "protein";

  private CardTokenizer() {}

  /** The tokenizer of a card; an error if it names none or has ids out of range. */
  public static Tokenizer of(ModelCard.Vocabulary card) {
    String name = card.tokenizer();
    if (name == null) {
      return new LetterTokenizer(card.name() == null ? "letters" : card.name(), letters(card));
    }
    if (ByteTokenizer.isNamed(name)) {
      return ByteTokenizer.named(name);
    }
    if (IdTokenizer.isNamed(name)) {
      return IdTokenizer.named(name);
    }
    String json = card.tokenizerJson();
    String text = "the model's card has a tokenizer %s; known are %s, %s:N and %s:N";
    require(json != null, text, name, JsonTokenizer.FILE, ByteTokenizer.NAME, IdTokenizer.NAME);
    var ids =
        new JsonTokenizer.SpecialIds(
            id(card.padId()), id(card.maskId()), id(card.bosId()), id(card.eosId()));
    return JsonTokenizer.of(json.getBytes(UTF_8), "the model's " + ModelCard.TOKENIZER_FILE, ids);
  }

  private static Vocabulary letters(ModelCard.Vocabulary card) {
    if (card.tokens() == null && PROTEIN.equals(card.name())) {
      return ProteinVocabulary.google();
    }
    String text =
        "the model's card has a vocabulary %s without tokens; only %s is known by its name";
    require(card.tokens() != null, text, card.name(), PROTEIN);
    try {
      int unknown = card.tokens().indexOf("X");
      return new Vocabulary(
          card.tokens(),
          id(card.padId()),
          id(card.maskId()),
          id(card.bosId()),
          id(card.eosId()),
          id(unknown < 0 ? null : unknown));
    } catch (IllegalArgumentException e) {
      throw new PerformerException("the model's card has a bad vocabulary: " + e.getMessage(), e);
    }
  }

  private static OptionalInt id(Integer id) {
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }
}
