/** A student that learns from a teacher. */
package dev.performer.distill;
