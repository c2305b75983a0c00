package dev.performer.graph;

import static dev.performer.PerformerException.require;

/**
 * References between nodes as GraphDefs write them: {@code node} and {@code node:2} for a tensor,
 * {@code ^node} for a control dependency.
 */
public final class TensorNames {
  private TensorNames() {}

  /** The node of a reference: {@code a/b} of {@code a/b:1} and of {@code ^a/b}. */
  public static String node(String reference) {
    int colon = reference.indexOf(':');
    int end = colon < 0 ? reference.length() : colon;
    return reference.substring(isControl(reference) ? 1 : 0, end);
  }

  /** Which of the node's outputs is meant; 0 where the reference names none. */
  public static int index(String reference) {
    int colon = reference.lastIndexOf(':');
    String index = colon < 0 ? "0" : reference.substring(colon + 1);
    require(index.matches("\\d{1,9}"), "the reference %s names no output of a node", reference);
    return Integer.parseInt(index);
  }

  public static boolean isControl(String reference) {
    return reference.startsWith("^");
  }

  public static String of(String node, int index) {
    return index == 0 ? node : node + ":" + index;
  }

  static String shortest(String reference) {
    return of(node(reference), index(reference));
  }
}
