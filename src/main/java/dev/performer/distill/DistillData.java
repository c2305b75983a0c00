package dev.performer.distill;

import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRows;
import dev.performer.data.TokenRows.RowBatches;
import dev.performer.data.Vocabulary;
import dev.performer.training.LabelledBatch;
import dev.performer.training.Objective;
import java.util.Optional;

/**
 * What a student learns from.
 *
 * @param pad the id that fills up short sequences
 * @param paddedLength all batches are padded to at least this; 0 for no such length
 * @param guesses of language models
 */
public record DistillData(
    TokenRows train, TokenRows validation, int pad, int paddedLength, Optional<Guesses> guesses) {
  /** What the inputs are made to be, and what counts as right, of which tokens. */
  public record Guesses(Objective objective, Vocabulary vocabulary) {}

  /** Batches of some of its sequences, of so many tokens at most. */
  public RowBatches batches(TokenRows rows, int tokens, long seed) {
    Vocabulary vocabulary = guesses.map(Guesses::vocabulary).orElse(null);
    return new RowBatches(rows, vocabulary, pad, tokens, paddedLength, seed);
  }

  /** What both models see, and what a language model is to guess. */
  LabelledBatch label(TokenBatch batch, long seed, long step) {
    return guesses
        .map(g -> g.objective().label(batch, g.vocabulary(), seed, step))
        .orElseGet(() -> unlabelled(batch));
  }

  /** Tokens as they are, of which nothing is to be guessed. */
  static LabelledBatch unlabelled(TokenBatch batch) {
    int[] tokens = batch.tokens();
    return new LabelledBatch(
        batch.rows(), batch.length(), tokens, batch.mask(), tokens, new float[tokens.length]);
  }
}
