package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collection;
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

  private final GraphIndex index;
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
    index = new GraphIndex(graph.getNodeList());
  }

  /**
   * Follows gradients from outputs to variables.
   *
   * @param outputs references of floating point tensors
   * @param variables names of the variables' handle nodes
   */
  public Report trace(
      Collection<String> outputs, Collection<String> variables, Obstruction obstruction) {
    Set<String> ends = new HashSet<>(variables);
    Map<String, String> stuck = new LinkedHashMap<>();
    Set<String> seen =
        index.reached(
            passable(outputs),
            node -> {
              if (ends.contains(node.getName()) || STOPS.contains(node.getOp())) {
                return List.of();
              }
              obstruction.reason(node).ifPresent(reason -> stuck.put(node.getName(), reason));
              return passable(inputs(node)); // there may be more behind an obstacle
            });
    Set<String> reached = new LinkedHashSet<>(seen);
    reached.retainAll(ends);
    Set<String> leading = leadingTo(reached, seen);
    stuck.keySet().retainAll(leading);
    Set<String> blocked =
        index.reached(
            stuck.keySet(), node -> ends.contains(node.getName()) ? List.of() : flowing(node));
    blocked.retainAll(ends);
    reached.removeAll(blocked);
    return new Report(stuck, reached, blocked);
  }

  private List<String> flowing(NodeDef node) {
    return STOPS.contains(node.getOp()) ? List.of() : passable(inputs(node));
  }

  /** Of the nodes seen, those from which gradients would flow to a variable. */
  private Set<String> leadingTo(Set<String> variables, Set<String> seen) {
    Map<String, List<String>> users = new HashMap<>();
    for (String name : seen) {
      if (!variables.contains(name)) {
        for (String input : flowing(index.require(name, "a gradient"))) {
          users.computeIfAbsent(TensorNames.node(input), key -> new ArrayList<>()).add(name);
        }
      }
    }
    return index.reached(variables, node -> users.getOrDefault(node.getName(), List.of()));
  }

  /** The inputs that get a gradient: the moving statistics of a batch normalization do not. */
  private static List<String> inputs(NodeDef node) {
    return node.getOp().startsWith("FusedBatchNorm")
        ? node.getInputList().subList(0, 3)
        : node.getInputList();
  }

  /** Of some references, those to tensors that have a gradient. */
  private List<String> passable(Collection<String> references) {
    return references.stream().filter(this::isPassable).toList();
  }

  private boolean isPassable(String reference) {
    Optional<NodeDef> node = index.find(reference);
    if (TensorNames.isControl(reference) || node.isEmpty()) {
      return false;
    }
    List<DataType> outputs =
        types.computeIfAbsent(node.get().getName(), name -> OpDefinitions.outputTypes(node.get()));
    int output = TensorNames.index(reference);
    return output >= outputs.size() || DIFFERENTIABLE.contains(outputs.get(output));
  }
}
