package dev.performer.graph;

import dev.performer.PerformerException;

/**
 * References between nodes as GraphDefs write them: {@code node} and {@code node:2} for a tensor,
 * {@code ^node} for a control dependency.
 */
public final class TensorNames {
  private TensorNames() {}

  /** The node of a reference: {@code a/b} of {@code a/b:1} and of {@code ^a/b}. */
  public static String node(String reference) {
    int start = isControl(reference) ? 1 : 0;
    int colon = reference.indexOf(':');
    return colon < 0 ? reference.substring(start) : reference.substring(start, colon);
  }

  /**
   * Which of the node's outputs is meant; 0 where the reference names none.
   *
   * @throws PerformerException if that is no number of an output
   */
  public static int index(String reference) {
    int colon = reference.lastIndexOf(':');
    String index = colon < 0 ? "0" : reference.substring(colon + 1);
    if (!index.matches("\\d{1,9}")) {
      throw new PerformerException("the reference " + reference + " names no output of a node");
    }
    return Integer.parseInt(index);
  }

  /** Whether this is a control dependency. */
  public static boolean isControl(String reference) {
    return reference.startsWith("^");
  }

  /** The reference in its shortest form, as GraphDefs hold it. */
  public static String of(String node, int index) {
    return index == 0 ? node : node + ":" + index;
  }
}
