package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.DataType;

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

  static List<Operand<?>> gradient(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    List<Output<?>> known = new ArrayList<>();
    for (int i = 0; i < node.numOutputs(); i++) {
      Output<?> dy = gradients.get(i);
      boolean passes = RawOps.isPresent(dy) || node.output(i).dataType() == DataType.DT_RESOURCE;
      known.add(passes ? dy : new RawOps(tf).op("ZerosLike", node.output(i)));
    }
    RawCustomGradient own = GRADIENTS.getOrDefault(node.env(), Map.of()).get(node.name());
    return own == null ? new ArrayList<>(known) : own.call(tf, node, known);
  }
}
