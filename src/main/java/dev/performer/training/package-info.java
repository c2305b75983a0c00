/**
 * Training of language models: objective, optimizer, schedule, the loop, its run directory, and
 * evaluation.
 *
 * <p>{@code B} batch, {@code L} length, {@code V} vocabulary.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.training;
