/**
 * Data sources, vocabularies, batches and masks; knows nothing of TensorFlow.
 *
 * <p>{@code B} batch, {@code L} length.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.data;
