package dev.performer.graph;

import dev.performer.PerformerException;
import org.tensorflow.proto.NodeDef;

/** A loop or a branch has no gradient, because something in it has none. */
final class Refusal extends PerformerException {
  private final GradientObstacle obstacle;

  Refusal(GradientObstacle obstacle) {
    super(obstacle.toString());
    this.obstacle = obstacle;
  }

  /** Names the function that a node of a body comes from. */
  Refusal in(FlatGraph body) {
    var call = body.callOf(obstacle.node());
    return call.isEmpty() || !obstacle.function().isEmpty()
        ? this
        : new Refusal(
            new GradientObstacle(
                obstacle.op(), obstacle.node(), call.get().function(), obstacle.reason()));
  }

  static GradientObstacle obstacle(NodeDef node, FlatGraph body, String reason) {
    String function = body.callOf(node.getName()).map(FlatGraph.Call::function).orElse("");
    return new GradientObstacle(node.getOp(), node.getName(), function, reason);
  }

  GradientObstacle obstacle() {
    return obstacle;
  }
}
