package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/** Keeps of a graph what its roots reach. */
final class GraphPruning {
  private GraphPruning() {}

  /**
   * Drops all nodes that no root needs.
   *
   * @param roots references to nodes
   * @param alsoNeeded what else a node needs beside its inputs, by node name
   * @throws PerformerException if a reference points to no node
   */
  static GraphDef prune(
      GraphDef graph, Collection<String> roots, Map<String, List<String>> alsoNeeded) {
    Map<String, NodeDef> nodes = new HashMap<>();
    graph.getNodeList().forEach(node -> nodes.put(node.getName(), node));
    Set<String> reached = new HashSet<>();
    Deque<String> todo = new ArrayDeque<>();
    roots.forEach(root -> visit(root, "an output", nodes, reached, todo));
    while (!todo.isEmpty()) {
      String name = todo.pop();
      nodes.get(name).getInputList().forEach(input -> visit(input, name, nodes, reached, todo));
      alsoNeeded
          .getOrDefault(name, List.of())
          .forEach(input -> visit(input, name, nodes, reached, todo));
    }
    GraphDef.Builder pruned = graph.toBuilder().clearNode();
    for (NodeDef node : graph.getNodeList()) {
      if (reached.contains(node.getName())) {
        pruned.addNode(node);
      }
    }
    return pruned.build();
  }

  private static void visit(
      String reference,
      String user,
      Map<String, NodeDef> nodes,
      Set<String> reached,
      Deque<String> todo) {
    String name = TensorNames.node(reference);
    if (!nodes.containsKey(name)) {
      throw new PerformerException(
          "the graph has no node " + name + ", which " + user + " refers to");
    }
    if (reached.add(name)) {
      todo.push(name);
    }
  }
}
