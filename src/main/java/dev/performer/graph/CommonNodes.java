package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.proto.NodeDef;

/**
 * Nodes that compute the same of the same become one, so that graphs are smaller, load sooner and
 * run less.
 */
final class CommonNodes {
  private CommonNodes() {}

  /**
   * The nodes of a graph or a function without those that others stand for.
   *
   * @param kept names of nodes that stay
   */
  static List<NodeDef> merged(Collection<NodeDef> nodes, Set<String> kept) {
    List<NodeDef> left = new ArrayList<>(nodes);
    Map<String, String> standIns = new HashMap<>();
    int before;
    do { // what used two of a kind may now be of one kind itself
      before = left.size();
      left = pass(left, kept, standIns);
    } while (left.size() < before);
    return left;
  }

  private static List<NodeDef> pass(
      List<NodeDef> nodes, Set<String> kept, Map<String, String> standIns) {
    Map<NodeDef, String> known = new HashMap<>();
    List<NodeDef> left = new ArrayList<>();
    for (NodeDef node : nodes) {
      NodeDef.Builder own = node.toBuilder();
      for (int i = 0; i < own.getInputCount(); i++) {
        own.setInput(i, renamed(own.getInput(i), standIns));
      }
      NodeDef changed = own.build();
      boolean mayGo = !kept.contains(node.getName()) && isPure(node);
      String first = mayGo ? known.get(own.clearName().build()) : null;
      if (first == null) {
        left.add(changed);
        if (isPure(node)) {
          known.putIfAbsent(own.clearName().build(), node.getName());
        }
      } else {
        standIns.put(node.getName(), first);
      }
    }
    return left.stream().map(node -> renamed(node, standIns)).toList();
  }

  private static NodeDef renamed(NodeDef node, Map<String, String> standIns) {
    NodeDef.Builder own = node.toBuilder();
    for (int i = 0; i < own.getInputCount(); i++) {
      own.setInput(i, renamed(own.getInput(i), standIns));
    }
    return own.build();
  }

  /** {@code name}, {@code name:1}, {@code name:output:0} or {@code ^name}. */
  private static String renamed(String input, Map<String, String> standIns) {
    int from = input.startsWith("^") ? 1 : 0;
    int colon = input.indexOf(':');
    int to = colon < 0 ? input.length() : colon;
    String standIn = standIns.get(input.substring(from, to));
    return standIn == null ? input : input.substring(0, from) + standIn + input.substring(to);
  }

  private static boolean isPure(NodeDef node) {
    return !node.getOp().equals("Placeholder")
        && OpDefinitions.find(node.getOp()).isPresent()
        && !OpDefinitions.isStateful(node);
  }
}
