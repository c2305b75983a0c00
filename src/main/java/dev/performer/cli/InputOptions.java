package dev.performer.cli;

import dev.performer.data.Tokenizer;
import dev.performer.pipeline.ModelOptions;
import picocli.CommandLine.Option;

/** Which signature of a SavedModel takes what, where it shall not be as the model records it. */
final class InputOptions {
  @Option(names = "--signature", description = "Default: performer.json's, else serving_default.")
  String signature;

  @Option(names = "--tokens-input", description = "Input of token ids (default: by type and name).")
  private String tokens;

  @Option(names = "--mask", description = "Input that is 1 at real tokens (default: by name).")
  private String mask;

  @Option(names = "--logits", description = "Output [B, L, vocabulary] (default: by its shape).")
  private String logits;

  @Option(
      names = "--vocabulary",
      description =
          "google-protein, pad-first-protein, letters:ABC…, bytes, bytes:N (N special ids before the bytes) or a tokenizer.json (default: from performer.json, else by the number of logits).")
  private String vocabulary;

  /** The earlier name, which is a number of tokens in generate. */
  @Option(names = "--tokens", hidden = true)
  private void tokens(String input) {
    tokens = input;
  }

  ModelOptions.Builder builder() {
    return ModelOptions.builder()
        .signature(signature)
        .tokens(tokens)
        .mask(mask)
        .logits(logits)
        .tokenizer(vocabulary == null ? null : Tokenizer.named(vocabulary));
  }
}
