/**
 * The directory of a training run: checkpoints, metrics, events, report, and how a run is resumed.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.training.run;
