package dev.performer.graph;

import dev.performer.PerformerException;
import org.tensorflow.proto.NodeDef;

/** A node that a gradient reaches but cannot pass. */
final class Refusal extends PerformerException {
  private final GradientObstacle obstacle;

  Refusal(GradientObstacle obstacle) {
    super(obstacle.toString());
    this.obstacle = obstacle;
  }

  /** Names the function that a node of a body comes from. */
  Refusal in(FlatGraph body) {
    return new Refusal(obstacle.in(body));
  }

  static GradientObstacle obstacle(NodeDef node, FlatGraph body, String reason) {
    return new GradientObstacle(node.getOp(), node.getName(), "", reason).in(body);
  }

  GradientObstacle obstacle() {
    return obstacle;
  }
}
