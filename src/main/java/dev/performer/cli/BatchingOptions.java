package dev.performer.cli;

import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.recipe.RecipeData;
import picocli.CommandLine.Option;

/** How sequences become batches. */
final class BatchingOptions {
  @Option(
      names = "--length",
      description =
          "Tokens of a sequence at most; longer ones are cropped (default: "
              + Batching.DEFAULT_LENGTH
              + ", or what the model takes if that is less).")
  Integer length;

  @Option(
      names = "--crop",
      description =
          "Which part of a long sequence trains: start or random (default: start where the model takes no more than a length, else random).")
  private RecipeData.Crop crop;

  @Option(names = "--batch-tokens", description = "Tokens of a batch at most, padding included.")
  private int batchTokens = Batching.DEFAULT_TOKENS;

  @Option(
      names = "--eos",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description = "Append the end token, where the vocabulary has one (default: true).")
  boolean eos;

  /**
   * @throws UsageException if a number is out of range
   */
  SequenceBatching batching() {
    UsageException.require(
        (length == null || length >= 2) && batchTokens >= 1,
        "--length must be at least 2 and --batch-tokens at least 1, not %s and %d",
        length == null ? "the default" : length,
        batchTokens);
    return new SequenceBatching(length, crop, new BatchSize.Tokens(batchTokens), eos);
  }
}
