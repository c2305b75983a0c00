package dev.performer.cli;

import dev.performer.data.Batching;
import dev.performer.data.Vocabulary;
import picocli.CommandLine.Option;

/** How sequences become batches. */
final class BatchingOptions {
  @Option(
      names = "--length",
      defaultValue = "" + Batching.DEFAULT_LENGTH,
      description =
          "Tokens of a sequence at most; longer ones are cropped (default: ${DEFAULT-VALUE}).")
  int length;

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

  /** For training; {@link Batching#forEvaluation} makes it one for evaluation. */
  Batching batching(Vocabulary vocabulary) {
    if (length < 2 || batchTokens < 1) {
      throw new UsageException(
          "--length must be at least 2 and --batch-tokens at least 1, not "
              + length
              + " and "
              + batchTokens);
    }
    return Batching.training(length, batchTokens)
        .withEnds(false, eos && vocabulary.eos().isPresent());
  }
}
