/**
 * Transformers: {@link dev.performer.model.PerformerConfig} is everything about one but its
 * weights, {@link dev.performer.model.Performer} is its graph.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.model;
