package dev.performer.graph;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Where gradients can flow in a flat graph, and which nodes stand in their way.
 *
 * <p>A gradient goes from an output back along floating point tensors and ends where an op stops it
 * on purpose ({@code StopGradient}, comparisons, shapes). A node is in the way only if a trainable
 * variable lies behind it.
 */
public final class GradientPaths {
  /** Ops whose gradient is "none" on purpose, from TensorFlow's C++ registry. */
  private static final Set<String> STOPS =
      Set.of(
          "ApproximateEqual",
          "BroadcastGradientArgs",
          "ConcatOffset",
          "Const",
          "Equal",
          "Floor",
          "Greater",
          "GreaterEqual",
          "InvertPermutation",
          "Less",
          "LessEqual",
          "LogicalAnd",
          "LogicalNot",
          "LogicalOr",
          "NonMaxSuppression",
          "NonMaxSuppressionV2",
          "NonMaxSuppressionV3",
          "NonMaxSuppressionV4",
          "NonMaxSuppressionV5",
          "NotEqual",
          "OneHot",
          "Rank",
          "Shape",
          "ShapeN",
          "Size",
          "StopGradient",
          "ZerosLike");

  private static final Set<DataType> DIFFERENTIABLE =
      Set.of(
          DataType.DT_FLOAT,
          DataType.DT_DOUBLE,
          DataType.DT_HALF,
          DataType.DT_BFLOAT16,
          DataType.DT_COMPLEX64,
          DataType.DT_COMPLEX128,
          DataType.DT_RESOURCE,
          DataType.DT_VARIANT,
          DataType.DT_FLOAT_REF,
          DataType.DT_DOUBLE_REF);

  private final Map<String, NodeDef> nodes = new HashMap<>();
  private final Map<String, List<DataType>> types = new HashMap<>();

  /** Says why no gradient can pass a node, if none can. */
  public interface Obstruction {
    Optional<String> reason(NodeDef node);
  }

  /**
   * What was found.
   *
   * @param obstacles nodes no gradient can pass, with the reason
   * @param reached variables that a gradient reaches past no obstacle
   * @param blocked variables for which an obstacle is on some path
   */
  public record Report(Map<String, String> obstacles, Set<String> reached, Set<String> blocked) {}

  /** Indexes a flat graph. */
  public GradientPaths(GraphDef graph) {
    graph.getNodeList().forEach(node -> nodes.put(node.getName(), node));
  }

  /**
   * Follows gradients from outputs to variables.
   *
   * @param outputs references of floating point tensors
   * @param variables names of the variables' handle nodes
   */
  public Report trace(
      Collection<String> outputs, Collection<String> variables, Obstruction obstruction) {
    Set<String> variableSet = new HashSet<>(variables);
    Map<String, String> stuck = new LinkedHashMap<>();
    Set<String> seen = new HashSet<>();
    Set<String> reached = new LinkedHashSet<>();
    Deque<String> todo = new ArrayDeque<>();
    outputs.forEach(output -> enter(output, todo));
    while (!todo.isEmpty()) {
      String name = todo.pop();
      if (!seen.add(name)) {
        continue;
      }
      NodeDef node = nodes.get(name);
      if (variableSet.contains(name)) {
        reached.add(name);
      } else if (!STOPS.contains(node.getOp())) {
        obstruction.reason(node).ifPresent(reason -> stuck.put(name, reason));
        inputs(node).forEach(input -> enter(input, todo)); // there may be more behind it
      }
    }
    Map<String, String> obstacles = new LinkedHashMap<>();
    Set<String> blocked = new LinkedHashSet<>();
    stuck.forEach(
        (name, reason) -> {
          Set<String> behind = behind(name, variableSet);
          if (!behind.isEmpty()) {
            obstacles.put(name, reason);
            blocked.addAll(behind);
          }
        });
    reached.removeAll(blocked);
    return new Report(obstacles, reached, blocked);
  }

  /** The inputs that get a gradient: the moving statistics of a batch normalization do not. */
  private static List<String> inputs(NodeDef node) {
    return node.getOp().startsWith("FusedBatchNorm")
        ? node.getInputList().subList(0, 3)
        : node.getInputList();
  }

  private void enter(String reference, Deque<String> todo) {
    String name = TensorNames.node(reference);
    if (TensorNames.isControl(reference) || !nodes.containsKey(name)) {
      return;
    }
    List<DataType> outputs =
        types.computeIfAbsent(name, key -> OpDefinitions.outputTypes(nodes.get(key)));
    int index = TensorNames.index(reference);
    if (index >= outputs.size() || DIFFERENTIABLE.contains(outputs.get(index))) {
      todo.push(name);
    }
  }

  /** The variables from which a gradient would have to come through this node. */
  private Set<String> behind(String start, Set<String> variables) {
    Set<String> found = new LinkedHashSet<>();
    Set<String> seen = new HashSet<>();
    Deque<String> todo = new ArrayDeque<>();
    inputs(nodes.get(start)).forEach(input -> enter(input, todo));
    while (!todo.isEmpty()) {
      String name = todo.pop();
      if (!seen.add(name)) {
        continue;
      }
      if (variables.contains(name)) {
        found.add(name);
      } else if (!STOPS.contains(nodes.get(name).getOp())) {
        inputs(nodes.get(name)).forEach(input -> enter(input, todo));
      }
    }
    return found;
  }
}
