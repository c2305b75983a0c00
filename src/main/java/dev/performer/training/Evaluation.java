package dev.performer.training;

/**
 * How well a model guesses a data set.
 *
 * @param loss mean cross-entropy per guessed token, in nats
 * @param accuracy share of guesses that are right
 * @param perplexity e to the loss
 * @param guesses tokens that were to be guessed
 * @param sequences sequences read
 * @param seconds time it took
 */
public record Evaluation(
    double loss,
    double accuracy,
    double perplexity,
    long guesses,
    long sequences,
    double seconds) {}
