package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.serving.Sampler;
import dev.performer.serving.Sampling;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * A text for a {@link TextEngine} to go on with.
 *
 * <pre>{@code
 * TextRequest request = TextRequest.of("MKT").withMaxTokens(50).withStops(List.of("GG"));
 * }</pre>
 *
 * @param prompt what the text begins with; null where ids are given
 * @param ids the prompt as token ids; null where it is text
 * @param maxTokens new tokens at most, 0 to read the prompt only; empty for {@value
 *     GenerationOptions#DEFAULT_TOKENS}, or what the model's positions leave
 * @param sampler how tokens are chosen
 * @param row as the number of a prompt in {@link TextGenerator}: with the seed, it makes the random
 *     numbers, so that choices of one prompt differ
 * @param stops texts that end it, and are not part of it
 * @param likeliest of how many likeliest tokens the log-probabilities come with each token
 * @param scoresPrompt whether the log-probabilities of the prompt's own tokens come first
 * @param session the session that goes on with this prompt, which then may be empty; null for none
 * @param deadline when it is cancelled; null for never
 */
public record TextRequest(
    String prompt,
    List<Integer> ids,
    OptionalInt maxTokens,
    Sampler sampler,
    int row,
    List<String> stops,
    int likeliest,
    boolean scoresPrompt,
    String session,
    Instant deadline) {
  /** Checks. @throws dev.performer.PerformerException if a number is negative, or a stop empty */
  public TextRequest {
    require((prompt == null) != (ids == null), "a request needs a prompt as text or as token ids");
    ids = ids == null ? null : List.copyOf(ids);
    stops = List.copyOf(stops);
    int most = maxTokens.orElse(0);
    require(most >= 0, "the number of new tokens must be 0 or more, not %d", most);
    require(row >= 0, "the row must be 0 or more, not %d", row);
    require(likeliest >= 0, "the number of likeliest tokens must be 0 or more, not %d", likeliest);
    require(stops.stream().noneMatch(String::isEmpty), "a stop is empty; it would end every text");
    require(
        !scoresPrompt || session == null,
        "a session's tokens are read already, so they have no log-probabilities");
  }

  private static TextRequest of(String prompt, List<Integer> ids) {
    return new TextRequest(
        prompt, ids, OptionalInt.empty(), Sampling.DEFAULT, 0, List.of(), 0, false, null, null);
  }

  /** A prompt as text, sampled with seed 0. */
  public static TextRequest of(String prompt) {
    return of(prompt, null);
  }

  /** A prompt as token ids, sampled with seed 0. */
  public static TextRequest ofIds(List<Integer> ids) {
    return of(null, ids);
  }

  /** The same with so many new tokens at most. */
  public TextRequest withMaxTokens(int count) {
    return with(OptionalInt.of(count), sampler, row, stops, likeliest, scoresPrompt, session);
  }

  /** The same with another rule for the choice of tokens. */
  public TextRequest withSampler(Sampler other) {
    return with(maxTokens, other, row, stops, likeliest, scoresPrompt, session);
  }

  /** The same with the random numbers of another row. */
  public TextRequest withRow(int number) {
    return with(maxTokens, sampler, number, stops, likeliest, scoresPrompt, session);
  }

  /** The same with texts that end it. */
  public TextRequest withStops(List<String> texts) {
    return with(maxTokens, sampler, row, texts, likeliest, scoresPrompt, session);
  }

  /** The same with the log-probabilities of the k likeliest tokens. */
  public TextRequest withLikeliest(int k) {
    return with(maxTokens, sampler, row, stops, k, scoresPrompt, session);
  }

  /** The same with the log-probabilities of the prompt's tokens, or without. */
  public TextRequest withScoredPrompt(boolean value) {
    return with(maxTokens, sampler, row, stops, likeliest, value, session);
  }

  /** The same as what goes on with a session. */
  public TextRequest withSession(String id) {
    return with(maxTokens, sampler, row, stops, likeliest, scoresPrompt, id);
  }

  /** The same with a time at which it is cancelled. */
  public TextRequest withDeadline(Instant time) {
    return new TextRequest(
        prompt, ids, maxTokens, sampler, row, stops, likeliest, scoresPrompt, session, time);
  }

  private TextRequest with(
      OptionalInt most,
      Sampler rule,
      int number,
      List<String> ends,
      int k,
      boolean scores,
      String continued) {
    return new TextRequest(prompt, ids, most, rule, number, ends, k, scores, continued, deadline);
  }

  /** The session that goes on, if one does. */
  public Optional<String> continued() {
    return Optional.ofNullable(session);
  }
}
