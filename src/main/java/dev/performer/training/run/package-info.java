/**
 * The directory of a training run: checkpoints, metrics, events, report, and how a run is resumed.
 */
package dev.performer.training.run;
