package dev.performer.savedmodel;

import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionCall;
import dev.performer.graph.GradientPaths;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.MissingGradients;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;

/** Looks for what keeps gradients of a flat graph from its trainable variables. */
final class TrainabilityCheck {
  private final FlatGraph flat;
  private final CustomGradients customGradients;

  TrainabilityCheck(FlatGraph flat, CustomGradients customGradients) {
    this.flat = flat;
    this.customGradients = customGradients;
  }

  /**
   * @param outputs references of the flat graph
   * @param variables the imported variables
   */
  Trainability check(List<String> outputs, List<Variable> variables) {
    List<Variable> trainable = variables.stream().filter(Variable::trainable).toList();
    List<String> handles = trainable.stream().map(TrainabilityCheck::handle).toList();
    var report = new GradientPaths(flat.graph(), handles).trace(outputs, this::reason);
    GraphIndex index = new GraphIndex(flat.graph().getNodeList());
    List<Trainability.Obstacle> obstacles = new ArrayList<>();
    report
        .obstacles()
        .forEach((name, reason) -> obstacles.add(obstacle(index.require(name, "a path"), reason)));
    Set<String> reached = report.reached();
    Set<String> blocked = report.blocked();
    List<Variable> unused = new ArrayList<>(trainable);
    unused.removeIf(v -> reached.contains(handle(v)) || blocked.contains(handle(v)));
    return new Trainability(
        List.copyOf(obstacles),
        trainable.stream().filter(v -> reached.contains(handle(v))).toList(),
        trainable.stream().filter(v -> blocked.contains(handle(v))).toList(),
        List.copyOf(unused));
  }

  private static String handle(Variable variable) {
    return variable.handle().op().name();
  }

  private Trainability.Obstacle obstacle(NodeDef node, String reason) {
    String name = node.getName();
    String function = flat.callOf(name).map(FunctionCall::function).orElse("");
    return new Trainability.Obstacle(node.getOp(), name, function, reason);
  }

  private Optional<String> reason(NodeDef node) {
    return customGradients
        .obstacle(node, flat.callOf(node.getName()))
        .or(() -> Optional.ofNullable(reasonOfOp(node)));
  }

  /** Null where the op has a gradient. */
  private static String reasonOfOp(NodeDef node) {
    String op = node.getOp();
    if (op.startsWith("TensorList") || op.startsWith("TensorArray")) {
      return "tensor lists have no gradient here";
    }
    String known = MissingGradients.isDifferentiable(op) ? null : "the op has no gradient here";
    return switch (op) {
      case "While", "StatelessWhile", "Enter", "Exit", "NextIteration", "LoopCond" ->
          "loops have no gradient here";
      case "If", "StatelessIf", "Case", "StatelessCase", "Switch", "Merge" ->
          "branches on a tensor have no gradient here";
      case "GatherV2" ->
          node.getAttrOrDefault("batch_dims", AttrValue.getDefaultInstance()).getI() < 0
              ? "a gather with negative batch_dims has no gradient here"
              : known;
      case "SoftmaxCrossEntropyWithLogits" ->
          node.getAttrOrThrow("T").getType() == DataType.DT_FLOAT
              ? known
              : "its gradient exists in float32 only";
      default -> known;
    };
  }
}
