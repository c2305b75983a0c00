package dev.performer.graph;

import dev.performer.PerformerException;

/** A node that a gradient reaches but cannot pass. */
public final class MissingGradient extends PerformerException {
  private final String node;
  private final String reason;

  MissingGradient(String op, String node, String reason) {
    super("the op %s (node %s) cannot be trained: %s".formatted(op, node, reason));
    this.node = node;
    this.reason = reason;
  }

  /** The name of the node in the graph. */
  public String node() {
    return node;
  }

  public String reason() {
    return reason;
  }
}
