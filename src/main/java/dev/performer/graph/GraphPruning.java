package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.proto.GraphDef;

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
    GraphIndex index = new GraphIndex(graph.getNodeList());
    roots.forEach(root -> index.require(root, "an output"));
    Set<String> reached =
        index.reached(
            roots,
            node -> {
              List<String> needed = new ArrayList<>(node.getInputList());
              needed.addAll(alsoNeeded.getOrDefault(node.getName(), List.of()));
              needed.forEach(input -> index.require(input, node.getName()));
              return needed;
            });
    GraphDef.Builder pruned = graph.toBuilder().clearNode();
    graph.getNodeList().stream()
        .filter(node -> reached.contains(node.getName()))
        .forEach(pruned::addNode);
    return pruned.build();
  }
}
