package dev.performer.pipeline;

import dev.performer.data.Masking;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.ModelCard;

/**
 * How a SavedModel is used, where its own description is missing or shall not count; null leaves a
 * thing to {@link Model}, which finds it in performer.json, or by names and shapes.
 *
 * @param signature that is run
 * @param tokens input that takes token ids, {@code [B, L]}
 * @param mask input that is 1 where a token is real, {@code [B, L]}
 * @param logits output {@code [B, L, vocabulary]}
 * @param tokenizer what token ids mean
 * @param objective what the model was trained to guess
 * @param masking which tokens a masked model has to guess
 * @param shiftsInputs whether a causal model shifts its inputs itself, as Google's FlaxLM: logits
 *     at t are for token t
 */
public record ModelOptions(
    String signature,
    String tokens,
    String mask,
    String logits,
    Tokenizer tokenizer,
    ModelCard.Objective objective,
    MaskedTokens masking,
    Boolean shiftsInputs) {
  /** All from the model. */
  public static final ModelOptions DEFAULT =
      new ModelOptions(null, null, null, null, null, null, null, null);

  /** Which tokens a masked model has to guess, 15 % of all. */
  public enum MaskedTokens {
    /** 80 % masked, 10 % replaced at random. */
    BERT(Masking.BERT, null),
    /** 10 % masked, 80 % replaced at random. */
    PROTEIN_LM(Masking.PROTEIN_LM, null),
    /** The same, at the places that protein_lm draws from the tokens of a batch in evaluation. */
    GOOGLE_EVAL(Masking.PROTEIN_LM, ModelCard.Masking.PROTEIN_LM);

    private final Masking of;
    private final String evaluation;

    MaskedTokens(Masking of, String evaluation) {
      this.of = of;
      this.evaluation = evaluation;
    }

    /** As a model records it. */
    ModelCard.Masking forCard() {
      return new ModelCard.Masking(of.rate(), of.mask(), of.random(), evaluation);
    }
  }

  /** Whether nothing is given. */
  public boolean isDefault() {
    return equals(DEFAULT);
  }

  /** The same with another signature. */
  public ModelOptions withSignature(String key) {
    return new ModelOptions(key, tokens, mask, logits, tokenizer, objective, masking, shiftsInputs);
  }

  /** The same with other inputs and output. */
  public ModelOptions withTensors(String ids, String real, String out) {
    return new ModelOptions(signature, ids, real, out, tokenizer, objective, masking, shiftsInputs);
  }

  /** The same with a tokenizer; {@link Tokenizer#named} makes one. */
  public ModelOptions withTokenizer(Tokenizer own) {
    return new ModelOptions(signature, tokens, mask, logits, own, objective, masking, shiftsInputs);
  }

  /** The same with another objective. */
  public ModelOptions withObjective(ModelCard.Objective own) {
    return new ModelOptions(signature, tokens, mask, logits, tokenizer, own, masking, shiftsInputs);
  }

  /** The same with other tokens to guess. */
  public ModelOptions withMasking(MaskedTokens own) {
    return new ModelOptions(
        signature, tokens, mask, logits, tokenizer, objective, own, shiftsInputs);
  }

  /** The same with logits at t for token t, or not. */
  public ModelOptions withShiftsInputs(Boolean own) {
    return new ModelOptions(signature, tokens, mask, logits, tokenizer, objective, masking, own);
  }
}
