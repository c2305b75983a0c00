package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PositionReader;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.training.ModelCards;
import dev.performer.training.Objective;
import java.util.ArrayList;
import java.util.List;

/**
 * How a model is used as a language model. Immutable.
 *
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

  /** Which tokens its logits depend on; unknown where it does not run. */
  Causality causality() {
    try (var predictor = SavedModelPredictor.load(model.directory(), SavedModelPredictor.TIMEOUT)) {
      return causality(predictor);
    } catch (PerformerException e) {
      return Causality.UNKNOWN;
    }
  }

  /** The same of a model that is loaded. */
  Causality causality(SavedModelPredictor predictor) {
    try {
      TokenInput input = input();
      return PrefixModel.isOfEach(predictor, input, tensors.logits())
          ? Causality.of(input, new PositionReader(predictor, input.signature(), tensors.logits()))
          : Causality.UNKNOWN;
    } catch (PerformerException e) {
      return Causality.UNKNOWN;
    }
  }

  /** The same with what such logits are taken for. */
  LanguageModelSpec assumed(Causality found) {
    Boolean shifts = tensors.shiftsInputs();
    shifts = shifts == null && found == Causality.EARLIER ? Boolean.TRUE : shifts;
    List<String> all = new ArrayList<>(notes);
    all.add(found.note());
    return new LanguageModelSpec(
        model, tensors.withObjective(found.objective(), shifts), tokenizer, all);
  }

  /** Whether each token is guessed from those before it. */
  public boolean isCausal() {
    return tensors.objective() == ModelCard.Objective.CAUSAL_LM;
  }

  /** Whether logits at t are for token t. */
  public boolean shiftsInputs() {
    return Boolean.TRUE.equals(tensors.shiftsInputs());
  }

  /** What it guesses in training. */
  Objective objective() {
    if (isCausal()) {
      return new Objective.CausalLanguageModel(shiftsInputs());
    }
    requireMaskToken();
    return new Objective.MaskedLanguageModel(proportions());
  }

  /** What it guesses in evaluation, where Google's protein_lm draws masks in a way of its own. */
  Objective evaluationObjective() {
    boolean isGoogle = isGoogleEvaluation();
    return isGoogle ? new Objective.GoogleMaskedLanguageModel(proportions()) : objective();
  }

  /** Whether masks are drawn from the tokens of a whole batch, as protein_lm does in evaluation. */
  boolean isGoogleEvaluation() {
    var masking = tensors.masking();
    return !isCausal() && masking != null && masking.evaluation() != null;
  }

  void requireMaskToken() {
    if (!isCausal() && vocabulary().mask().isEmpty()) {
      String text =
          "%s: the vocabulary has no mask token, which masked-lm needs; choose the objective causal-lm or another vocabulary";
      throw new PerformerException(text.formatted(model.path()))
          .settledBy("objective", "vocabulary");
    }
  }

  private Masking proportions() {
    var masking = tensors.masking();
    return masking == null
        ? Masking.BERT
        : new Masking(masking.rate(), masking.mask(), masking.random());
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
    var signature = model.directory().signature(tensors.signature());
    return TokenInput.of(model, signature, tensors, tokenizer, notes);
  }

  /** How another signature of the model is used for the same tokens; null for the same. */
  LanguageModelSpec in(String signature) {
    if (signature == null || signature.equals(tensors.signature())) {
      return this;
    }
    ModelOptions own = model.options().withSignature(signature).withTensors(null, null, null);
    LanguageModelSpec other =
        model.with(own.withTokenizer(tokenizer).withObjective(tensors.objective())).languageModel();
    return new LanguageModelSpec(model, other.tensors, tokenizer, notes);
  }

  /** The tensors that an imported model has in inference, where that is not as in training. */
  ModelCard.LanguageModel inference(ImportedModel imported) {
    String signature = imported.inference(tensors.signature());
    return tensors.withTensors(
        signature, tensors.tokens(), tensors.mask(), tensors.logits(), tensors.objective());
  }

  /** Imports the signature into a graph; the caller closes it. */
  ImportedModel load() {
    return ImportedModel.load(model.directory(), List.of(tensors.signature()));
  }
}
