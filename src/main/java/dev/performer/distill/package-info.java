/**
 * A student that learns from a teacher.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.distill;
