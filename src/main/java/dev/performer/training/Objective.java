package dev.performer.training;

import dev.performer.data.Masking;
import dev.performer.data.TokenBatch;
import dev.performer.data.Vocabulary;

/** What a language model is trained to say. */
public sealed interface Objective {
  /**
   * Inputs, targets and weights for a batch; the same for the same seed and step.
   *
   * @throws dev.performer.PerformerException if the vocabulary lacks a token that is needed
   */
  LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step);

  /** Guess the tokens that were replaced. */
  record MaskedLanguageModel(Masking masking) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      Masking.Masked masked = masking.apply(batch, vocabulary, seed, step);
      float[] weights = new float[masked.chosen().length];
      for (int i = 0; i < weights.length; i++) {
        weights[i] = masked.chosen()[i] ? 1 : 0;
      }
      return new LabelledBatch(
          batch.rows(), batch.length(), masked.inputs(), batch.mask(), batch.tokens(), weights);
    }
  }

  /**
   * Guess each token from those before it.
   *
   * @param modelShifts whether the model itself moves its inputs one place to the right, as
   *     Google's FlaxLM does: then logits at t are for token t. Otherwise they are for token t + 1,
   *     and the first token of a sequence is guessed only if a begin token stands before it
   */
  record CausalLanguageModel(boolean modelShifts) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      int[] mask = batch.mask();
      int[] tokens = batch.tokens();
      int[] targets = tokens.clone();
      float[] weights = new float[tokens.length];
      int ahead = modelShifts ? 0 : 1;
      for (int row = 0; row < batch.rows(); row++) {
        int start = row * batch.length();
        for (int i = 0; i + ahead < batch.lengths()[row]; i++) {
          targets[start + i] = tokens[start + i + ahead];
          weights[start + i] = 1;
        }
      }
      return new LabelledBatch(batch.rows(), batch.length(), tokens, mask, targets, weights);
    }
  }
}
