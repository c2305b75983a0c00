/**
 * Model Garden's KernelAttention: the layer's arguments and what it computes of them. Letters as in
 * {@link dev.performer.attention}.
 *
 * <p>Public API: changes are in the change log.
 */
package dev.performer.attention.modelgarden;
