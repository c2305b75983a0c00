/**
 * Transformers: {@link dev.performer.model.PerformerConfig} is everything about one but its
 * weights, {@link dev.performer.model.Performer} is its graph.
 */
package dev.performer.model;
