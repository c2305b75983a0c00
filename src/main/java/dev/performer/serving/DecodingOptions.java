package dev.performer.serving;

import dev.performer.PerformerException;
import java.util.OptionalInt;
import java.util.Set;

/**
 * How prompts of token ids go on.
 *
 * <pre>{@code
 * DecodingOptions options = DecodingOptions.of(40, Sampling.DEFAULT.withSeed(7)).withEnd(2);
 * }</pre>
 *
 * @param maxTokens new tokens of a prompt at most
 * @param sampler how tokens are chosen
 * @param end the token that ends a sequence; empty for none
 * @param forbidden tokens that are never generated, as padding never is
 * @param firstRow number of the first prompt, from which and the seed its random numbers come, so
 *     that batches do not change what a prompt becomes
 */
public record DecodingOptions(
    int maxTokens, Sampler sampler, OptionalInt end, Set<Integer> forbidden, int firstRow) {
  /** Checks ranges. @throws PerformerException if {@code maxTokens} is negative */
  public DecodingOptions {
    requireNotNegative(maxTokens);
    forbidden = Set.copyOf(forbidden);
  }

  static void requireNotNegative(int newTokens) {
    PerformerException.require(
        newTokens >= 0, "the number of new tokens must be 0 or more, not %d", newTokens);
  }

  /** Without an end token and without forbidden ones, from row 0. */
  public static DecodingOptions of(int maxTokens, Sampler sampler) {
    return new DecodingOptions(maxTokens, sampler, OptionalInt.empty(), Set.of(), 0);
  }

  /** The same with a token that ends a sequence. */
  public DecodingOptions withEnd(int token) {
    return new DecodingOptions(maxTokens, sampler, OptionalInt.of(token), forbidden, firstRow);
  }

  /** The same without these tokens. */
  public DecodingOptions withForbidden(Set<Integer> tokens) {
    return new DecodingOptions(maxTokens, sampler, end, tokens, firstRow);
  }

  /** The same for prompts from this number on. */
  public DecodingOptions withFirstRow(int row) {
    return new DecodingOptions(maxTokens, sampler, end, forbidden, row);
  }
}
