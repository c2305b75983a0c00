/**
 * Measuring: benchmarks, approximation and estimator error, reproduction of the paper.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.study;
