/** Measuring: benchmarks, approximation and estimator error, reproduction of the paper. */
package dev.performer.study;
