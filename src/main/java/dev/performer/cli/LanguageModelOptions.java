package dev.performer.cli;

import dev.performer.pipeline.ModelOptions;
import dev.performer.savedmodel.ModelCard;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** How a SavedModel is used as a language model, where the model's own record shall not count. */
final class LanguageModelOptions {
  @Mixin InputOptions input;

  @Option(
      names = "--objective",
      description = "masked-lm or causal-lm (default: from performer.json, else masked-lm).")
  private ModelCard.Objective objective;

  @Option(
      names = "--masking",
      description =
          "Of 15 %% of the tokens: bert = 80 %% mask, 10 %% random; protein-lm = 10 %% mask, 80 %% random; google-eval = the same, at the places that protein_lm draws from the tokens of a batch in evaluation (default: from performer.json, else bert).")
  private ModelOptions.MaskedTokens masking;

  @Option(
      names = "--model-shifts",
      description =
          "A causal model whose logits at t are for token t, as Google's FlaxLM has it (default: from performer.json).")
  private boolean modelShifts;

  ModelOptions options() {
    return input
        .builder()
        .objective(objective)
        .masking(masking)
        .shiftsInputs(modelShifts ? true : null)
        .build();
  }

  /** Whether any of the options is given. */
  boolean isAnyGiven() {
    return !options().isDefault();
  }
}
