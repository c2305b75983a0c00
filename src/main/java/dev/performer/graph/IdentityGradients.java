package dev.performer.graph;

import java.util.Collections;
import java.util.Map;
import java.util.Optional;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import org.tensorflow.Graph;
import org.tensorflow.op.RawCustomGradient;

/**
 * Gradients for single {@code IdentityN} nodes: TensorFlow's way to give a piece of a graph a
 * gradient of its own. An {@code IdentityN} without one passes its gradients on.
 */
public final class IdentityGradients {
  // Entries live as long as their graph; Graph compares by identity.
  private static final Map<Graph, Map<String, RawCustomGradient>> GRADIENTS =
      Collections.synchronizedMap(new WeakHashMap<>());

  private IdentityGradients() {}

  /** Gives the {@code IdentityN} of that name in that graph a gradient. */
  public static void attach(Graph graph, String node, RawCustomGradient gradient) {
    GRADIENTS.computeIfAbsent(graph, key -> new ConcurrentHashMap<>()).put(node, gradient);
  }

  /** Forgets the gradients of a graph that is about to be closed. */
  public static void detach(Graph graph) {
    GRADIENTS.remove(graph);
  }

  /** The gradient of a node, if it has one of its own. */
  static Optional<RawCustomGradient> find(Graph graph, String node) {
    return Optional.ofNullable(GRADIENTS.getOrDefault(graph, Map.of()).get(node));
  }
}
