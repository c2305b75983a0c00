package dev.performer.training;

import dev.performer.training.run.Evaluation;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Session;

/** What a {@link Trainer} measures on held-out data, and which of two measurements is better. */
public interface Validation {
  /** One pass over a source with a model's own sums: loss, accuracy and perplexity. */
  static Validation of(Trainable model, BatchSource source) {
    return of(model, source, 0);
  }

  /** The same of so many batches at most; 0 for all. */
  static Validation of(Trainable model, BatchSource source, int limit) {
    return new SourceValidation(model, source, limit);
  }

  /**
   * Measures the model with the weights of a session; the same weights give the same numbers.
   *
   * @param stop polled now and then: whether training is to end
   * @return empty if it was stopped
   */
  Optional<Evaluation> evaluate(Session session, BooleanSupplier stop);

  /** Equal where evaluations can be compared: an earlier part of a run may have had other data. */
  default String fingerprint() {
    return "";
  }

  /** What the best weights have least of. */
  default double distance(Evaluation evaluation) {
    return evaluation.loss();
  }

  /** Whether the best evaluation is good enough to end training before its last step. */
  default boolean isEnough(Evaluation best) {
    return false;
  }

  /** The numbers in words, for a line of a log. */
  default String describe(Evaluation evaluation) {
    return "validation " + evaluation.describe();
  }

  /** The measure that is drawn beside the training loss; where there is none, the loss. */
  default String plotted() {
    return "perplexity";
  }

  /** What {@link Trainable#diagnostics} are on some of the data. */
  default Map<String, Double> diagnostics(Session session) {
    return Map.of();
  }

  /** As {@link BatchSource#reportOnce}. */
  default Optional<String> reportOnce() {
    return Optional.empty();
  }
}
