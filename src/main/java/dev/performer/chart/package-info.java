/**
 * Line charts as PNG, and the one place that knows the library which draws them.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.chart;
