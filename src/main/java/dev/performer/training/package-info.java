/**
 * Training of language models: objective, optimizer, schedule, the loop, its run directory, and
 * evaluation.
 *
 * <p>{@code B} batch, {@code L} length, {@code V} vocabulary.
 */
package dev.performer.training;
