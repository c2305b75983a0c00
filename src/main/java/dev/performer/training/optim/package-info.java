/** How weights follow gradients: optimizers, their update rules, learning rates, averages. */
package dev.performer.training.optim;
