package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.Collection;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.tensorflow.proto.NodeDef;

/** A loop or a branch has no gradient, because something in it has none. */
final class Refusal extends PerformerException {
  private static final Pattern MISSING = Pattern.compile("No gradient defined for op: (\\w+)");

  private final GradientObstacle obstacle;

  Refusal(GradientObstacle obstacle) {
    super(obstacle.toString());
    this.obstacle = obstacle;
  }

  /** For TensorFlow's failure to differentiate a body, of which some nodes have a part in it. */
  static Refusal of(RuntimeException failure, Collection<NodeDef> nodes, FlatGraph body) {
    String message = NativeErrors.firstLine(failure);
    Matcher missing = MISSING.matcher(message);
    String op = missing.find() ? missing.group(1) : "";
    for (NodeDef node : nodes) {
      if (node.getOp().equals(op)) {
        return new Refusal(obstacle(node, body, "the op has no gradient here"));
      }
    }
    return new Refusal(obstacle(nodes.iterator().next(), body, message));
  }

  static GradientObstacle obstacle(NodeDef node, FlatGraph body, String reason) {
    String function = body.callOf(node.getName()).map(FlatGraph.Call::function).orElse("");
    return new GradientObstacle(node.getOp(), node.getName(), function, reason);
  }

  GradientObstacle obstacle() {
    return obstacle;
  }
}
