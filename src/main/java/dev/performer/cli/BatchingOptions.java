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
      paramLabel = "C",
      description =
          "Which part of a long sequence trains: start or random (default: start where the model takes no more than a length, else random).")
  private String crop;

  @Option(
      names = "--batch-tokens",
      defaultValue = "" + Batching.DEFAULT_TOKENS,
      description = "Tokens of a batch at most, padding included (default: ${DEFAULT-VALUE}).")
  int batchTokens;

  @Option(
      names = "--eos",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description =
          "Append the end token, where the vocabulary has one (default: ${DEFAULT-VALUE}).")
  boolean eos;

  /**
   * @throws UsageException if a number is out of range
   */
  SequenceBatching batching() {
    if (length != null && length < 2 || batchTokens < 1) {
      throw new UsageException(
          "--length must be at least 2 and --batch-tokens at least 1, not %s and %d"
              .formatted(length == null ? "the default" : length, batchTokens));
    }
    return new SequenceBatching(
        length,
        Choice.of("--crop", crop, RecipeData.Crop.class),
        new BatchSize.Tokens(batchTokens),
        eos);
  }
}
