package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * A piece of a graph with a gradient by hand, which keeps fewer tensors and makes fewer passes than
 * the one that follows from its ops. Elsewhere, in Python as in a copy of the graph, the latter
 * holds: both are the same function.
 */
public final class GivenGradient {
  /**
   * The gradient by hand; it may add ops, but no gradients, and holds no operand of a graph. It
   * must not look at shapes: TensorFlow holds the graph's lock, and would wait for itself.
   */
  @FunctionalInterface
  public interface Rule {
    /**
     * Gradients of all inputs.
     *
     * @param given inputs, then what was kept
     */
    List<Operand<TFloat32>> of(Ops tf, List<Operand<TFloat32>> given, Operand<TFloat32> dy);
  }

  private GivenGradient() {}

  /**
   * The same {@code y} behind a node whose gradient is the rule's.
   *
   * @param inputs what {@code y} depends on, and all that receives gradients
   * @param kept results of the forward pass that the rule uses
   */
  public static Operand<TFloat32> of(
      Ops tf,
      Operand<TFloat32> y,
      List<Operand<TFloat32>> inputs,
      List<Operand<TFloat32>> kept,
      Rule rule) {
    if (!(tf.scope().env() instanceof Graph graph)) {
      return y;
    }
    List<Output<?>> all = new ArrayList<>(List.of(y.asOutput()));
    inputs.forEach(input -> all.add(input.asOutput()));
    kept.forEach(result -> all.add(result.asOutput()));
    var builder = tf.scope().opBuilder("IdentityN", "GivenGradient");
    var node = builder.addInputList(all.toArray(Output<?>[]::new)).build();
    int count = inputs.size();
    LossGradients.attach(graph, node.name(), (ops, at, dy) -> gradients(ops, at, dy, count, rule));
    return node.<TFloat32>output(0);
  }

  private static List<Operand<?>> gradients(
      Ops tf, GraphOperation node, List<Output<?>> dy, int count, Rule rule) {
    List<Operand<TFloat32>> given = new ArrayList<>();
    for (int i = 1; i < node.numInputs(); i++) {
      given.add(node.input(i).asOutput().expect(TFloat32.class));
    }
    List<Operand<?>> gradients = new ArrayList<>(Collections.nCopies(node.numInputs(), null));
    var found = rule.of(tf, given, dy.get(0).expect(TFloat32.class));
    for (int i = 0; i < count; i++) {
      gradients.set(1 + i, found.get(i));
    }
    return gradients;
  }
}
