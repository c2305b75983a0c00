/**
 * What TensorFlow Java leaves out, on graphs: variables and their checkpoints, gradients of more
 * ops, functions that are traced or inlined, and tensors that no Java class covers.
 *
 * <p>Read in this order: {@link dev.performer.graph.Variables} (made once, initialized once),
 * {@link dev.performer.graph.LossGradients} (their gradients), {@link
 * dev.performer.graph.SaveRestore} and {@link dev.performer.graph.CheckpointReader} (their files),
 * {@link dev.performer.graph.FunctionInliner} (a graph of calls becomes one graph). Knows
 * TensorFlow and nothing of Performers.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.graph;
