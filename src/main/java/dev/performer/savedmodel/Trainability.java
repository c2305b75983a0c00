package dev.performer.savedmodel;

import dev.performer.Excerpt;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.GradientPaths;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.LossGradients;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;

/**
 * Whether and how far gradients of a model's outputs reach its variables.
 *
 * @param obstacles ops between trainable variables and outputs that no gradient can pass
 * @param trainable trainable variables that a gradient reaches
 * @param blocked trainable variables behind an obstacle
 * @param unused trainable variables on which the outputs do not depend differentiably
 */
public record Trainability(
    List<Obstacle> obstacles,
    List<Variable> trainable,
    List<Variable> blocked,
    List<Variable> unused) {
  static final Trainability NONE = new Trainability(List.of(), List.of(), List.of(), List.of());

  /**
   * An op that stops training.
   *
   * @param op its type
   * @param node its name in the flat graph
   * @param function the function of the SavedModel it comes from; empty for the main graph
   * @param reason why no gradient passes
   */
  public record Obstacle(String op, String node, String function, String reason) {
    @Override
    public String toString() {
      String place = function.isEmpty() ? "the main graph" : "the function " + function;
      return "%s (node %s of %s): %s".formatted(op, node, place, reason);
    }
  }

  /** Looks for what keeps gradients of outputs of a flat graph from its trainable variables. */
  static Trainability of(
      FlatGraph flat, CustomGradients custom, List<String> outputs, List<Variable> variables) {
    List<Variable> trainable = variables.stream().filter(Variable::trainable).toList();
    List<String> handles = trainable.stream().map(Trainability::handle).toList();
    var report =
        new GradientPaths(flat.graph(), handles)
            .trace(
                outputs,
                node ->
                    custom
                        .obstacle(node, flat.callOf(node.getName()))
                        .or(() -> Optional.ofNullable(reason(node))));
    GraphIndex index = new GraphIndex(flat.graph().getNodeList());
    List<Obstacle> obstacles = new ArrayList<>();
    report
        .obstacles()
        .forEach(
            (name, reason) -> {
              String op = index.require(name, "a path").getOp();
              String function = flat.callOf(name).map(FlatGraph.Call::function).orElse("");
              obstacles.add(new Obstacle(op, name, function, reason));
            });
    Predicate<Variable> isReached = variable -> report.reached().contains(handle(variable));
    Predicate<Variable> isBlocked = variable -> report.blocked().contains(handle(variable));
    return new Trainability(
        List.copyOf(obstacles),
        trainable.stream().filter(isReached).toList(),
        trainable.stream().filter(isBlocked).toList(),
        trainable.stream().filter(isReached.or(isBlocked).negate()).toList());
  }

  private static String handle(Variable variable) {
    return variable.handle().op().name();
  }

  /** Why an op passes no gradient on; null if it does. */
  private static String reason(NodeDef node) {
    String op = node.getOp();
    if (op.startsWith("TensorList") || op.startsWith("TensorArray")) {
      return "tensor lists have no gradient here";
    }
    String known = LossGradients.isDifferentiable(op) ? null : "the op has no gradient here";
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

  /** Whether every trainable variable that the outputs depend on gets its gradient. */
  public boolean isTrainable() {
    return obstacles.isEmpty() && !trainable.isEmpty();
  }

  /** One line for the user. */
  public String summary() {
    if (isTrainable()) {
      return "can be trained: gradients reach " + trainable.size() + " variables";
    }
    if (obstacles.isEmpty()) {
      return "cannot be trained: no trainable variable has a part in the outputs";
    }
    var items = Excerpt.items(obstacles.stream().map(Obstacle::toString).toList());
    String part = trainable.isEmpty() ? "" : " in full";
    return "cannot be trained" + part + ": " + String.join("; ", items);
  }
}
