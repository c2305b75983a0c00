/**
 * Layers: pure functions of operands over variables that {@link dev.performer.nn.Parameters} makes
 * or finds. Letters: B batch, L query length, S key length, H heads, D head size, M random
 * directions, E model width, F MLP width, V vocabulary.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.nn;
