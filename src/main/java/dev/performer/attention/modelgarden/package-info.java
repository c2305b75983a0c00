/**
 * Model Garden's KernelAttention: the layer's arguments and what it computes of them. Letters as in
 * {@link dev.performer.attention}.
 */
package dev.performer.attention.modelgarden;
