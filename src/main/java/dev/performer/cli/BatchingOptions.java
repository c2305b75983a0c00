package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.ModelCard;
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
  String crop;

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
  Batching batching(LanguageModelOptions.Resolved model) {
    ModelCard.LanguageModel tensors = model.tensors();
    int tokens = length(model);
    if (tokens < 2 || batchTokens < 1) {
      throw new UsageException(
          "--length must be at least 2 and --batch-tokens at least 1, not "
              + tokens
              + " and "
              + batchTokens);
    }
    Tokenizer tokenizer = model.tokenizer();
    Batching batching =
        Batching.training(tokens, batchTokens)
            .withEnds(tokenizer.cls().isPresent(), eos && tokenizer.ends().isPresent());
    if (!isRandomCrop(tensors)) {
      batching = batching.withCropsFromStart();
    }
    return tensors.paddedLength() == null ? batching : batching.withFixedLength(tokens);
  }

  private boolean isRandomCrop(ModelCard.LanguageModel tensors) {
    if (crop == null) {
      return tensors.maxLength() == null;
    }
    return switch (crop) {
      case "start" -> false;
      case "random" -> true;
      default -> throw new UsageException("--crop must be start or random, not '" + crop + "'");
    };
  }

  private int length(LanguageModelOptions.Resolved model) {
    Integer longest = model.tensors().maxLength();
    if (length == null) {
      return longest == null ? Batching.DEFAULT_LENGTH : Math.min(Batching.DEFAULT_LENGTH, longest);
    }
    if (longest != null && length > longest) {
      throw new PerformerException(
          model.directory().path()
              + ": takes sequences of at most "
              + longest
              + " tokens, not "
              + length
              + "; give --length "
              + longest
              + " or less");
    }
    return length;
  }
}
