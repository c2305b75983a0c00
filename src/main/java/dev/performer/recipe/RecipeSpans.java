package dev.performer.recipe;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

import dev.performer.data.SpanCorruption;
import dev.performer.data.Vocabulary;

/**
 * What a sequence-to-sequence model has to write: the spans that are missing in what its encoder
 * reads.
 *
 * @param rate share of the tokens that are missing
 * @param length mean tokens of a span
 * @param sentinels different sentinels; null for those of the vocabulary, or as many as the longest
 *     sequence takes, which are put behind a vocabulary that has none
 */
public record RecipeSpans(Double rate, Double length, Integer sentinels) {
  /** Fills in T5's numbers and checks ranges. */
  public RecipeSpans {
    rate = requireNonNullElse(rate, SpanCorruption.DEFAULT_RATE);
    length = requireNonNullElse(length, SpanCorruption.DEFAULT_MEAN_SPAN);
    require(
        rate > 0 && rate < 1 && length >= 1 && (sentinels == null || sentinels > 1),
        "data.spans: rate must be between 0 and 1, length at least 1, sentinels at least 2: %s, %s, %s",
        rate,
        length,
        sentinels);
  }

  /** With the sentinels counted. @param longest tokens of a sequence at most */
  RecipeSpans resolved(Vocabulary vocabulary, int longest) {
    if (!SpanCorruption.hasSentinels(vocabulary)) {
      int needed = new SpanCorruption(rate, length, 0, longest + 1).spans(longest) + 1;
      return new RecipeSpans(rate, length, requireNonNullElse(sentinels, needed));
    }
    int own = SpanCorruption.of(vocabulary).sentinels();
    String text = "data.spans.sentinels is %d, but the vocabulary has %d of its own; leave it out";
    require(sentinels == null || sentinels == own, text, sentinels, own);
    return new RecipeSpans(rate, length, own);
  }

  /** The vocabulary with the sentinels that it lacks. */
  Vocabulary extended(Vocabulary vocabulary) {
    return SpanCorruption.hasSentinels(vocabulary)
        ? vocabulary
        : SpanCorruption.withSentinels(vocabulary, sentinels);
  }

  SpanCorruption corruption(Vocabulary extended) {
    SpanCorruption of = SpanCorruption.of(extended);
    return new SpanCorruption(rate, length, of.firstSentinel(), of.sentinels());
  }
}
