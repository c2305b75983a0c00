/**
 * Data sources, vocabularies, batches and masks; knows nothing of TensorFlow.
 *
 * <p>{@code B} batch, {@code L} length.
 */
package dev.performer.data;
