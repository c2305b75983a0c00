package dev.performer.graph;

import java.util.List;
import org.tensorflow.GraphOperation;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;

/** One node whose gradient is wanted, and the ops to make it of. */
final class NodeGradient extends RawOps {
  final GraphOperation node;
  private final List<Output<?>> gradients;

  /** The ops of one gradient: one result per input, in order. */
  interface Rule {
    List<Output<?>> apply(NodeGradient of);
  }

  NodeGradient(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    super(tf);
    this.node = node;
    this.gradients = gradients;
  }

  /** The first input. */
  Output<?> x() {
    return node.input(0);
  }

  /** The second input. */
  Output<?> y() {
    return node.input(1);
  }

  /** The gradient of the first output. */
  Output<?> dy() {
    return gradients.get(0);
  }

  /** The gradient of an output. */
  Output<?> dy(int output) {
    return gradients.get(output);
  }

  /** Whether an output has a gradient. */
  boolean hasDy(int output) {
    return output < gradients.size() && isPresent(gradients.get(output));
  }

  boolean flag(String attribute) {
    return node.attributes().getAttrBool(attribute);
  }

  /** Zeros for the input of an index: it gets no gradient. */
  Output<?> none(int input) {
    return zerosLike(node.input(input));
  }

  /** Gradients of both inputs of a function of two numbers, which broadcasting may have spread. */
  List<Output<?>> ofBoth(Output<?> dx, Output<?> dy) {
    return List.of(unbroadcast(dx, x(), y()), unbroadcast(dy, y(), x()));
  }
}
