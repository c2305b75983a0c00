package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.training.ModelCards;
import dev.performer.training.Objective;
import java.util.List;

/**
 * How a model is used as a language model. Immutable.
 *
 * @param model the model
 * @param tensors signature, inputs, output and what it was trained to guess
 * @param tokenizer between texts and its tokens
 * @param notes what was assumed because neither model nor options say it, one line each
 */
public record LanguageModelSpec(
    Model model, ModelCard.LanguageModel tensors, Tokenizer tokenizer, List<String> notes) {
  public LanguageModelSpec {
    notes = List.copyOf(notes);
  }

  /** Its tokens. */
  public Vocabulary vocabulary() {
    return tokenizer.vocabulary();
  }

  /** Whether each token is guessed from those before it. */
  public boolean isCausal() {
    return tensors.objective() == ModelCard.Objective.CAUSAL_LM;
  }

  /** Whether logits at t are for token t. */
  public boolean shiftsInputs() {
    Boolean given = model.options().shiftsInputs();
    return Boolean.TRUE.equals(given != null ? given : tensors.shiftsInputs());
  }

  /**
   * What it guesses in training.
   *
   * @throws PerformerException if a masked model's vocabulary has no mask token
   */
  Objective objective() {
    if (isCausal()) {
      return new Objective.CausalLanguageModel(shiftsInputs());
    }
    requireMaskToken();
    return new Objective.MaskedLanguageModel(proportions());
  }

  /**
   * What it guesses in evaluation: Google's protein_lm draws its masks in a way of its own, from
   * the tokens of a whole batch.
   */
  Objective evaluationObjective() {
    return isGoogleEvaluation()
        ? new Objective.GoogleMaskedLanguageModel(proportions())
        : objective();
  }

  /** Whether masks are drawn as protein_lm draws them in evaluation. */
  boolean isGoogleEvaluation() {
    ModelOptions.MaskedTokens given = model.options().masking();
    ModelCard.Masking recorded = tensors.masking();
    return !isCausal()
        && (given == null
            ? recorded != null && ModelCard.Masking.PROTEIN_LM.equals(recorded.evaluation())
            : given == ModelOptions.MaskedTokens.GOOGLE_EVAL);
  }

  void requireMaskToken() {
    if (!isCausal() && vocabulary().mask().isEmpty()) {
      throw new PerformerException(
              model.path()
                  + ": the vocabulary has no mask token, which masked-lm needs; choose the objective"
                  + " causal-lm or another vocabulary")
          .settledBy("objective", "vocabulary");
    }
  }

  private Masking proportions() {
    if (model.options().masking() != null) {
      return model.options().masking().proportions();
    }
    ModelCard.Masking recorded = tensors.masking();
    return recorded == null
        ? Masking.BERT
        : new Masking(recorded.rate(), recorded.mask(), recorded.random());
  }

  /** What a model that is made from this one records of its tokens. */
  ModelCard.Vocabulary cardVocabulary() {
    ModelCard.Vocabulary recorded = model.card().map(ModelCard::vocabulary).orElse(null);
    return tokenizer instanceof LetterTokenizer
        ? ModelCards.vocabulary(recorded == null ? null : recorded.name(), vocabulary())
        : ModelCards.vocabulary(tokenizer);
  }

  /** How it takes sequences. */
  public TokenInput input() {
    return new TokenInput(
        model.path(),
        model.directory().signature(tensors.signature()),
        tensors.tokens(),
        tensors.mask(),
        tokenizer,
        tensors.maxLength() == null ? 0 : tensors.maxLength(),
        tensors.paddedLength() == null ? 0 : tensors.paddedLength(),
        notes);
  }

  /** Imports the signature into a graph; the caller closes it. */
  ImportedModel load() {
    return ImportedModel.load(model.directory(), List.of(tensors.signature()));
  }
}
