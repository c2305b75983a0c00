/**
 * Checkpoints in foreign formats. A {@link dev.performer.checkpoint.WeightFile} reads one format
 * and knows no model; a {@link dev.performer.checkpoint.NamingScheme} knows one producer's names
 * and maps them to ours. Nothing outside this package knows foreign names.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.checkpoint;
