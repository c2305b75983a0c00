/**
 * What TensorFlow Java leaves out, on graphs; knows nothing of Performers. Read in this order:
 * {@link dev.performer.graph.Variables}, {@link dev.performer.graph.LossGradients} (their
 * gradients), {@link dev.performer.graph.SaveRestore} and {@link
 * dev.performer.graph.CheckpointReader} (their files), {@link dev.performer.graph.FunctionInliner}
 * (a graph of calls becomes one graph), {@link dev.performer.graph.ControlFlowGradients} (its loops
 * and branches).
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.graph;
