package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.tensorflow.proto.NodeDef;

/** The nodes of a graph or of a function's body by name, and what is reached from where. */
public final class GraphIndex {
  private final Map<String, NodeDef> nodes = new LinkedHashMap<>();

  /** Indexes some nodes; where two have one name, the last counts. */
  public GraphIndex(Collection<NodeDef> nodes) {
    nodes.forEach(node -> this.nodes.put(node.getName(), node));
  }

  /** The node of a name or of any reference to it. */
  public Optional<NodeDef> find(String reference) {
    return Optional.ofNullable(nodes.get(TensorNames.node(reference)));
  }

  /**
   * The node of a reference.
   *
   * @param user who refers to it, for the error
   */
  public NodeDef require(String reference, String user) {
    String name = TensorNames.node(reference);
    String message = "the graph has no node %s, which %s refers to";
    PerformerException.require(nodes.containsKey(name), message, name, user);
    return nodes.get(name);
  }

  /** The inputs of a node that are no control dependencies. */
  public static List<String> dataInputs(NodeDef node) {
    return node.getInputList().stream().filter(input -> !TensorNames.isControl(input)).toList();
  }

  /** The control dependencies of a node. */
  static List<String> controlInputs(NodeDef node) {
    return node.getInputList().stream().filter(TensorNames::isControl).toList();
  }

  /**
   * Names of the nodes that are reached, step by step; references to nothing lead nowhere.
   *
   * @param from references to the first nodes, which are reached, too
   * @param next where it goes on from a node
   */
  public Set<String> reached(
      Collection<String> from, Function<NodeDef, ? extends Collection<String>> next) {
    Set<String> reached = new LinkedHashSet<>();
    Deque<String> todo = new ArrayDeque<>(from);
    while (!todo.isEmpty()) {
      NodeDef node = nodes.get(TensorNames.node(todo.pop()));
      if (node != null && reached.add(node.getName())) {
        todo.addAll(next.apply(node));
      }
    }
    return reached;
  }

  /** Follows a reference back through nodes of some op types, which pass their first input on. */
  public String source(String reference, Set<String> transparent) {
    String source = reference;
    for (int steps = 0; steps < nodes.size(); steps++) {
      NodeDef node = nodes.get(TensorNames.node(source));
      if (node == null || !transparent.contains(node.getOp())) {
        break;
      }
      source = node.getInput(0);
    }
    return source;
  }
}
