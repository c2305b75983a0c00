package dev.performer.server.generation;

import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextRequest;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Refusal;
import dev.performer.serving.Sampling;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.ThreadLocalRandom;

/**
 * How one call wants its texts to go on.
 *
 * @param maxTokens new tokens of a text at most
 * @param sampling with the seed that was given, else a random one
 * @param stops texts that end a text
 */
public record Generation(OptionalInt maxTokens, Sampling sampling, List<String> stops) {
  /** Texts of one call at most. */
  public static final int MOST_TEXTS = 128;

  /** New tokens of a text at most. */
  public static final int MOST_TOKENS = 1 << 20;

  /** Random seeds are below, which every program reads from JSON as they are. */
  private static final long EXACT = 1L << 53;

  /** Tokens and log-probabilities that one call has in memory at most: some 200 MB. */
  private static final int MOST_KEPT = 1 << 21;

  /** Tokens of a character at most: a tokenizer of bytes has so many of one. */
  private static final int BYTES = 4;

  /** The parameters that {@link #of} reads, but for that of the number of tokens. */
  public static final List<String> PARAMETERS =
      List.of(
          "temperature",
          "top_k",
          "top_p",
          "repetition_penalty",
          "repetition_window",
          "presence_penalty",
          "frequency_penalty",
          "logit_bias",
          "seed",
          "stop");

  /** Reads them. @param mostStops texts that end a text at most */
  public static Generation of(Fields fields, OptionalInt maxTokens, int mostStops) {
    var stops = fields.texts("stop", mostStops);
    long seed = fields.whole("seed").orElseGet(() -> ThreadLocalRandom.current().nextLong(EXACT));
    Sampling sampling =
        Sampling.DEFAULT
            .withSeed(seed)
            .withTemperature(fields.number("temperature", 1, 0, 2))
            .withTopK(Math.max(0, fields.integer("top_k", -1, Integer.MAX_VALUE).orElse(0)))
            .withTopP(fields.number("top_p", 1, 0, 1))
            .withRepetitionPenalty(
                fields.number("repetition_penalty", 1, 1e-3, 1e3),
                fields.integer("repetition_window", 0, Integer.MAX_VALUE).orElse(0))
            .withPenalties(
                fields.number("presence_penalty", 0, -2, 2),
                fields.number("frequency_penalty", 0, -2, 2))
            .withLogitBias(fields.numbersOfIds("logit_bias", -100, 100));
    return new Generation(maxTokens, sampling, stops);
  }

  /**
   * Checks what only the model's tokenizer tells.
   *
   * @param texts of all prompts
   * @param likeliest log-probabilities that come with each token
   * @param most tokens of a prompt and its text together
   * @throws dev.performer.server.http.Refusal if a prompt is longer, there is no such token, or all
   *     is more than a server keeps in memory for one call
   */
  public void requireFits(
      TextEngine engine, List<Fields.Prompt> prompts, int texts, int likeliest, int most) {
    int size = engine.tokenizer().size();
    for (int id : sampling.logitBias().keySet()) {
      if (id < 0 || id >= size) {
        String text = "the token id %d is not in the vocabulary, which has %d";
        throw Fields.invalid("logit_bias", text.formatted(id, size));
      }
    }
    requireShort(engine, prompts, maxTokens.orElse(0), most);
    long read = prompts.stream().mapToLong(Generation::length).max().orElse(0);
    long each = maxTokens.orElse(0) + (likeliest == 0 ? 0 : read);
    long kept = each * texts * (1 + likeliest);
    if (kept > MOST_KEPT) {
      String text =
          "%d texts of %d tokens with %d log-probabilities each are too much for one call";
      throw Fields.invalid("max_tokens", text.formatted(texts, maxTokens.orElse(0), likeliest));
    }
  }

  /** Checks the lengths of prompts. @param more tokens of a text that come behind one */
  public static void requireShort(
      TextEngine engine, List<Fields.Prompt> prompts, int more, int most) {
    for (Fields.Prompt prompt : prompts) {
      boolean isText = prompt.ids() == null;
      long bound = (isText ? BYTES : 1) * length(prompt);
      if (bound + more > most && (long) tokens(engine, prompt) + more > most) {
        String text =
            "This server takes at most %d tokens of a prompt and its completion, not %d and %d.";
        String message = text.formatted(most, tokens(engine, prompt), more);
        throw new Refusal(400, message, "context_length_exceeded", "max_tokens");
      }
    }
  }

  /** In tokens or characters. */
  private static long length(Fields.Prompt prompt) {
    return prompt.ids() == null ? prompt.text().length() : prompt.ids().size();
  }

  private static int tokens(TextEngine engine, Fields.Prompt prompt) {
    return prompt.ids() != null
        ? prompt.ids().size()
        : engine.tokenizer().encoder().encode(prompt.text()).length;
  }

  /** The same, taking the most likely token each time, or drawing. */
  public Generation withGreedy(boolean value) {
    return new Generation(maxTokens, sampling.withGreedy(value), stops);
  }

  /** A text of this kind. @param row by which and the seed its random numbers come */
  public TextRequest request(Fields.Prompt prompt, int row) {
    TextRequest request =
        prompt.ids() == null ? TextRequest.of(prompt.text()) : TextRequest.ofIds(prompt.ids());
    request = request.withSampler(sampling).withRow(row).withStops(stops);
    return maxTokens.isPresent() ? request.withMaxTokens(maxTokens.getAsInt()) : request;
  }
}
