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
  private static final Set<String> LOOPS =
      Set.of("While", "StatelessWhile", "Enter", "Exit", "NextIteration", "LoopCond");
  private static final Set<String> BRANCHES =
      Set.of("If", "StatelessIf", "Case", "StatelessCase", "Switch", "Merge");

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
    GradientPaths.Report report = GradientPaths.trace(flat.graph(), outputs, handles, this::reason);
    GraphIndex index = new GraphIndex(flat.graph().getNodeList());
    List<Trainability.Obstacle> obstacles = new ArrayList<>();
    report
        .obstacles()
        .forEach((name, reason) -> obstacles.add(obstacle(index.require(name, "a path"), reason)));
    Set<String> reached = report.reached();
    Set<String> blocked = report.blocked();
    return new Trainability(
        List.copyOf(obstacles),
        trainable.stream().filter(v -> reached.contains(handle(v))).toList(),
        trainable.stream().filter(v -> blocked.contains(handle(v))).toList(),
        trainable.stream()
            .filter(v -> !reached.contains(handle(v)) && !blocked.contains(handle(v)))
            .toList());
  }

  private static String handle(Variable variable) {
    return variable.handle().op().name();
  }

  private Trainability.Obstacle obstacle(NodeDef node, String reason) {
    return new Trainability.Obstacle(
        node.getOp(),
        node.getName(),
        flat.callOf(node.getName()).map(FunctionCall::function).orElse(""),
        reason);
  }

  private Optional<String> reason(NodeDef node) {
    String op = node.getOp();
    Optional<String> custom = customGradients.obstacle(node, flat.callOf(node.getName()));
    if (custom.isPresent()) {
      return custom;
    }
    if (LOOPS.contains(op)) {
      return Optional.of("loops have no gradient here");
    }
    if (BRANCHES.contains(op)) {
      return Optional.of("branches on a tensor have no gradient here");
    }
    if (op.startsWith("TensorList") || op.startsWith("TensorArray")) {
      return Optional.of("tensor lists have no gradient here");
    }
    if (op.equals("GatherV2") && integer(node, "batch_dims") < 0) {
      return Optional.of("a gather with negative batch_dims has no gradient here");
    }
    if (op.equals("SoftmaxCrossEntropyWithLogits")
        && node.getAttrOrThrow("T").getType() != DataType.DT_FLOAT) {
      return Optional.of("its gradient exists in float32 only");
    }
    return MissingGradients.isDifferentiable(op)
        ? Optional.empty()
        : Optional.of("the op has no gradient here");
  }

  private static long integer(NodeDef node, String attribute) {
    return node.getAttrOrDefault(attribute, AttrValue.getDefaultInstance()).getI();
  }
}
