/** Measurements: how well FAVOR+ approximates softmax attention. */
package dev.performer.study;
