package dev.performer.graph;

/**
 * An op that no gradient passes.
 *
 * @param node its name once calls are expanded, in the graph or in the body of a loop or branch
 * @param function that it comes from; empty for the main graph
 */
public record GradientObstacle(String op, String node, String function, String reason) {
  /** The same, with the function that the node comes from where it is not named yet. */
  public GradientObstacle in(FlatGraph flat) {
    var call = flat.callOf(node);
    return call.isEmpty() || !function.isEmpty()
        ? this
        : new GradientObstacle(op, node, call.get().function(), reason);
  }

  @Override
  public String toString() {
    String place = function.isEmpty() ? "the main graph" : "the function " + function;
    return "%s (node %s of %s): %s".formatted(op, node, place, reason);
  }
}
