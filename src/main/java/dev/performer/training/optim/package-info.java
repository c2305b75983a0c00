/**
 * How weights follow gradients: optimizers, their update rules, learning rates, averages.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.training.optim;
