/**
 * Internal: may change with any release. Exact softmax attention inside any SavedModel: found in
 * its graph, verified on samples, and replaced.
 */
package dev.performer.savedmodel.softmax;
