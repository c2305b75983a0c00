package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Which tokens a masked language model has to guess, and what it sees in their place.
 *
 * @param rate the share of real tokens that are to be guessed
 * @param mask of these, the share replaced by the mask token
 * @param random of these, the share replaced by any ordinary token; the rest stays as it is
 */
public record Masking(double rate, double mask, double random) {
  /** Google's protein_lm: 15 %, of which 10 % mask, 80 % random, 10 % kept. */
  public static final Masking PROTEIN_LM = new Masking(0.15, 0.1, 0.8);

  /** BERT: 15 %, of which 80 % mask, 10 % random, 10 % kept. */
  public static final Masking BERT = new Masking(0.15, 0.8, 0.1);

  public Masking {
    if (!(rate > 0 && rate <= 1 && mask >= 0 && random >= 0 && mask + random <= 1 + 1e-9)) {
      throw new IllegalArgumentException(
          "expected rate in (0, 1], mask and random from 0, at most 1 together: "
              + List.of(rate, mask, random));
    }
  }

  /** Ids with those to be guessed replaced, and where a guess is wanted, {@code [B * L]}. */
  public record Masked(int[] inputs, boolean[] chosen) {}

  /**
   * Chooses and replaces tokens; padding, begin, end and mask tokens are never chosen, and at least
   * one token of each sequence is, if it has an ordinary one. What happens to a sequence depends on
   * the seed, the step and its key alone, so it is the same in batches of any size.
   */
  public Masked apply(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
    boolean hasMask = mask == 0 || vocabulary.mask().isPresent();
    require(hasMask, "the vocabulary has no mask token; use a masking with a mask share of 0");
    int[] tokens = batch.tokens();
    int[] inputs = tokens.clone();
    boolean[] chosen = new boolean[tokens.length];
    int[] ordinary = vocabulary.ordinaryIds();
    for (int row = 0; row < batch.rows(); row++) {
      SplittableRandom draws = Seeds.random(seed, step, batch.keys()[row]);
      int start = row * batch.length();
      int end = start + batch.lengths()[row];
      boolean any = false;
      for (int i = start; i < end; i++) {
        // Three draws for every token, so that one token's fate does not move the others'.
        double choice = draws.nextDouble();
        double fate = draws.nextDouble();
        int replacement = ordinary[draws.nextInt(ordinary.length)];
        chosen[i] = choice < rate && !vocabulary.isSpecial(tokens[i]);
        inputs[i] = chosen[i] ? seen(tokens[i], fate, replacement, vocabulary) : tokens[i];
        any |= chosen[i];
      }
      var places = IntStream.range(start, any ? start : end);
      int[] candidates = places.filter(i -> !vocabulary.isSpecial(tokens[i])).toArray();
      if (candidates.length > 0) {
        int only = candidates[draws.nextInt(candidates.length)];
        int replacement = ordinary[draws.nextInt(ordinary.length)];
        inputs[only] = seen(tokens[only], draws.nextDouble(), replacement, vocabulary);
        chosen[only] = true;
      }
    }
    return new Masked(inputs, chosen);
  }

  private int seen(int token, double fate, int replacement, Vocabulary vocabulary) {
    if (fate < mask) {
      return vocabulary.mask().getAsInt();
    }
    return fate < mask + random ? replacement : token;
  }
}
