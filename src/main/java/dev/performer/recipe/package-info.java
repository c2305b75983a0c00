/**
 * Trainings from scratch that YAML describes, and their data.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.recipe;
