package dev.performer.training.run;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.Collections;
import java.util.Formatter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * How well a model guesses a data set.
 *
 * @param loss mean cross-entropy per guessed token, in nats; of numbers the mean squared error
 * @param accuracy share of guesses that are right; NaN where numbers are guessed
 * @param perplexity e to the loss; NaN where numbers are guessed
 * @param guesses what was to be guessed: tokens, classes or numbers
 * @param sequences sequences read
 * @param seconds time it took
 * @param more what the task measures besides, by name: {@code bitsPerDimension}; null for nothing
 */
public record Evaluation(
    double loss,
    double accuracy,
    double perplexity,
    long guesses,
    long sequences,
    double seconds,
    @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, Double> more) {
  public Evaluation {
    more = more == null ? Map.of() : Collections.unmodifiableMap(new TreeMap<>(more));
  }

  /** Loss, accuracy, perplexity and {@link #more}, without what is not a number. */
  public Map<String, Double> measures() {
    Map<String, Double> measures = new LinkedHashMap<>();
    measures.put("loss", loss);
    measures.put("accuracy", accuracy);
    measures.put("perplexity", perplexity);
    measures.putAll(more);
    measures.values().removeIf(value -> value.isNaN());
    return measures;
  }

  /** In words, for a line of a log. */
  public String describe() {
    var text = new Formatter(Locale.ROOT);
    if (Double.isNaN(accuracy)) {
      text.format("loss %.4g", loss);
    } else {
      text.format("perplexity %.3f  accuracy %.1f %%", perplexity, 100 * accuracy);
    }
    more.forEach((name, value) -> text.format("  %s %.4f", name, value));
    return text.toString();
  }
}
