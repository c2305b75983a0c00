/**
 * Random projections: our own draws, and those of Google's TensorFlow and JAX code and of Model
 * Garden, number by number. Letters as in {@link dev.performer.attention}.
 *
 * <p>Public API: changes are in the change log.
 */
package dev.performer.attention.projection;
