/** Line charts as PNG, and the one place that knows the library which draws them. */
package dev.performer.chart;
