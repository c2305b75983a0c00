package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
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
          """
          ApproximateEqual BroadcastGradientArgs ConcatOffset Const Equal Floor Greater GreaterEqual
          InvertPermutation Less LessEqual LogicalAnd LogicalNot LogicalOr NonMaxSuppression
          NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NotEqual
          OneHot Rank Shape ShapeN Size StopGradient ZerosLike
          """
              .split("\\s+"));

  private final GraphIndex index;
  private final Set<String> variables;
  private final Map<String, List<DataType>> types = new HashMap<>();

  /**
   * @param variables names of their handle nodes
   */
  public GradientPaths(GraphDef flat, Collection<String> variables) {
    index = new GraphIndex(flat.getNodeList());
    this.variables = Set.copyOf(variables);
  }

  /**
   * Nodes that no gradient can pass with the reason, variables that a gradient reaches past none of
   * them, and variables that one of them keeps from some gradient.
   */
  public record Report(Map<String, String> obstacles, Set<String> reached, Set<String> blocked) {}

  /** Follows gradients from outputs; an obstruction is why none can pass a node. */
  public Report trace(Collection<String> outputs, Function<NodeDef, Optional<String>> obstruction) {
    Map<String, String> obstacles = new LinkedHashMap<>();
    // There may be more behind an obstacle.
    Set<String> seen = index.reached(passable(outputs), this::flowing);
    for (String name : seen) {
      NodeDef node = index.require(name, "a gradient");
      if (!isEnd(node)) {
        obstruction.apply(node).ifPresent(reason -> obstacles.put(name, reason));
      }
    }
    Set<String> reached = new LinkedHashSet<>(seen);
    reached.retainAll(variables);
    obstacles.keySet().retainAll(leadingTo(reached, seen));
    Set<String> blocked = index.reached(obstacles.keySet(), this::flowing);
    blocked.retainAll(variables);
    reached.removeAll(blocked);
    return new Report(obstacles, reached, blocked);
  }

  /** Of the nodes seen, those from which gradients would flow to a variable. */
  private Set<String> leadingTo(Set<String> ends, Set<String> seen) {
    Map<String, List<String>> users = new HashMap<>();
    for (String name : seen) {
      for (String input : flowing(index.require(name, "a gradient"))) {
        users.computeIfAbsent(TensorNames.node(input), key -> new ArrayList<>()).add(name);
      }
    }
    return index.reached(ends, node -> users.getOrDefault(node.getName(), List.of()));
  }

  private boolean isEnd(NodeDef node) {
    return variables.contains(node.getName()) || STOPS.contains(node.getOp());
  }

  /** The inputs that get a gradient: the moving statistics of a batch normalization do not. */
  private List<String> flowing(NodeDef node) {
    List<String> inputs = node.getInputList();
    return isEnd(node)
        ? List.of()
        : passable(node.getOp().startsWith("FusedBatchNorm") ? inputs.subList(0, 3) : inputs);
  }

  private List<String> passable(Collection<String> references) {
    return references.stream().filter(this::isPassable).toList();
  }

  private boolean isPassable(String reference) {
    NodeDef node = index.find(reference).orElse(null);
    if (TensorNames.isControl(reference) || node == null) {
      return false;
    }
    List<DataType> outputs =
        types.computeIfAbsent(node.getName(), name -> OpDefinitions.outputTypes(node));
    int output = TensorNames.index(reference);
    return output >= outputs.size() || isDifferentiable(outputs.get(output));
  }

  private static boolean isDifferentiable(DataType type) {
    return switch (type) {
      case DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16, DT_COMPLEX64, DT_COMPLEX128 -> true;
      case DT_RESOURCE, DT_VARIANT, DT_FLOAT_REF, DT_DOUBLE_REF -> true;
      default -> false;
    };
  }
}
