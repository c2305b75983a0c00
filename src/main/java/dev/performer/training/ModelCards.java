package dev.performer.training;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.performer.data.JsonTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.TreeMap;

/** Between a model's card and what training works with. */
public final class ModelCards {
  private ModelCards() {}

  /** A tokenizer as a part of a card. */
  public static ModelCard.Vocabulary vocabulary(Tokenizer tokenizer) {
    Vocabulary known = tokenizer.vocabulary();
    String label = tokenizer.label();
    if (tokenizer instanceof LetterTokenizer) {
      return vocabulary(label, known);
    }
    return tokenizer instanceof JsonTokenizer json
        ? card(label, null, known, JsonTokenizer.FILE, new String(json.file(), UTF_8))
        : card(label, null, known, label, null);
  }

  /** The same as a part of a card. */
  public static ModelCard.Vocabulary vocabulary(String name, Vocabulary vocabulary) {
    return card(name, vocabulary.tokens(), vocabulary, null, null);
  }

  private static ModelCard.Vocabulary card(
      String name, List<String> tokens, Vocabulary ids, String tokenizer, String json) {
    return new ModelCard.Vocabulary(
        name,
        tokens,
        orNull(ids.pad()),
        orNull(ids.mask()),
        orNull(ids.bos()),
        orNull(ids.eos()),
        tokenizer,
        json);
  }

  /** The objective of a card; a causal model is taken not to shift its inputs. */
  public static Objective objective(ModelCard.LanguageModel card, Masking masking) {
    return card.objective() == ModelCard.Objective.CAUSAL_LM
        ? new Objective.CausalLanguageModel(false)
        : new Objective.MaskedLanguageModel(masking);
  }

  /** Which tokens a masked model was trained to guess, as a part of a card. */
  public static ModelCard.Masking masking(Masking masking) {
    return new ModelCard.Masking(masking.rate(), masking.mask(), masking.random(), null);
  }

  /** The other way round. */
  public static ModelCard.Objective objective(Objective objective) {
    return objective instanceof Objective.CausalLanguageModel
        ? ModelCard.Objective.CAUSAL_LM
        : ModelCard.Objective.MASKED_LM;
  }

  /** Where the weights of a step come from. @param from a model, null for none */
  public static ModelCard.Provenance provenance(
      String from, String data, long seed, long step, Evaluation before, Evaluation after) {
    ModelCard.Provenance none = ModelCard.Provenance.UNKNOWN;
    var origin = from == null ? none : none.madeFrom(Path.of(from), List.of());
    return origin.trained(
        data, seed, step, new TreeMap<>(before.measures()), new TreeMap<>(after.measures()));
  }

  private static Integer orNull(OptionalInt id) {
    return id.isPresent() ? id.getAsInt() : null;
  }
}
