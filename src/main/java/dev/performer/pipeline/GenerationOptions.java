package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.serving.Sampler;
import dev.performer.serving.Sampling;
import java.util.OptionalInt;

/**
 * How a text goes on.
 *
 * @param maxTokens new tokens of a text at most; empty for {@value #DEFAULT_TOKENS}, or what the
 *     model's positions leave
 * @param sampler how tokens are chosen
 * @param batch texts that run at a time at most
 */
public record GenerationOptions(OptionalInt maxTokens, Sampler sampler, int batch) {
  /** New tokens where no number is given. */
  public static final int DEFAULT_TOKENS = 128;

  /** Drawn from the model's own probabilities with seed 0. */
  public static final GenerationOptions DEFAULT =
      new GenerationOptions(OptionalInt.empty(), Sampling.DEFAULT, 8);

  /** Checks. @throws PerformerException if a number is not positive */
  public GenerationOptions {
    int count = maxTokens.orElse(DEFAULT_TOKENS);
    String text = "the number of new tokens and the batch must be at least 1, not %d and %d";
    require(count > 0 && batch > 0, text, count, batch);
  }

  /** The same with so many new tokens of a text at most. */
  public GenerationOptions withMaxTokens(int count) {
    return new GenerationOptions(OptionalInt.of(count), sampler, batch);
  }

  /** The same with another rule for the choice of tokens. */
  public GenerationOptions withSampler(Sampler other) {
    return new GenerationOptions(maxTokens, other, batch);
  }

  /** The same with so many texts at a time at most. */
  public GenerationOptions withBatch(int texts) {
    return new GenerationOptions(maxTokens, sampler, texts);
  }
}
