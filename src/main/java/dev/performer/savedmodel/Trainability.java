package dev.performer.savedmodel;

import static dev.performer.graph.LossGradients.isDifferentiable;

import dev.performer.Excerpt;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.GradientObstacle;
import dev.performer.graph.GradientRewrites;
import dev.performer.graph.GradientTrial;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.LossGradients;
import dev.performer.graph.OpDefinitions;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.tensorflow.Graph;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;

/**
 * Whether and how far gradients of a model's outputs reach its variables. One goes from an output
 * back along floating point tensors and ends where an op stops it on purpose.
 *
 * @param obstacles ops between trainable variables and outputs that no gradient can pass
 * @param trainable trainable variables that a gradient reaches past no obstacle
 * @param blocked trainable variables that an obstacle keeps from some gradient
 * @param unused trainable variables on which the outputs do not depend differentiably
 */
public record Trainability(
    List<GradientObstacle> obstacles,
    List<Variable> trainable,
    List<Variable> blocked,
    List<Variable> unused) {
  private static final String OLD_CONTROL_FLOW =
      "loops and branches of TensorFlow 1 have no gradient here; save the model with TensorFlow 2";
  static final Trainability NONE = new Trainability(List.of(), List.of(), List.of(), List.of());

  static Trainability of(
      FlatGraph flat,
      GradientRewrites rewrites,
      CustomGradients custom,
      List<String> outputs,
      List<Variable> variables) {
    List<Variable> trainable = variables.stream().filter(Variable::trainable).toList();
    var handles = trainable.stream().map(Trainability::handle).collect(Collectors.toSet());
    GraphIndex index = new GraphIndex(flat.graph().getNodeList());
    Paths paths = new Paths(index, handles, rewrites.carried(), new HashMap<>());
    // There may be more behind an obstacle.
    Set<String> seen = index.reached(paths.passable(outputs), paths::flowing);
    Map<String, GradientObstacle> obstacles = new LinkedHashMap<>();
    for (String name : seen) {
      NodeDef node = index.require(name, "a gradient");
      var call = flat.callOf(name);
      String reason = paths.isEnd(node) ? null : custom.obstacle(node, call).orElse(reason(node));
      var inside = rewrites.obstacles().get(name);
      if (inside != null) {
        obstacles.put(name, inside);
      } else if (reason != null) {
        obstacles.put(name, new GradientObstacle(node.getOp(), name, "", reason).in(flat));
      }
    }
    obstacles.keySet().retainAll(paths.leadingTo(handles, seen));
    Set<String> behind = index.reached(obstacles.keySet(), paths::flowing);
    Predicate<Variable> isSeen = variable -> seen.contains(handle(variable));
    Predicate<Variable> isBlocked = variable -> behind.contains(handle(variable));
    return new Trainability(
        listed(obstacles.values()),
        trainable.stream().filter(isSeen.and(isBlocked.negate())).toList(),
        trainable.stream().filter(isBlocked).toList(),
        trainable.stream().filter(isSeen.negate()).toList());
  }

  /** Loops of TensorFlow 1 are many ops with one and the same reason: one stands for all. */
  private static List<GradientObstacle> listed(Collection<GradientObstacle> all) {
    Set<String> seen = new HashSet<>();
    Predicate<GradientObstacle> isNew =
        obstacle -> !obstacle.reason().equals(OLD_CONTROL_FLOW) || seen.add(OLD_CONTROL_FLOW);
    return all.stream().filter(isNew).toList();
  }

  /** What is left of it once the gradients are built, of outputs of the graph. */
  Trainability tried(Graph graph, FlatGraph flat, List<String> outputs) {
    var floating =
        outputs.stream()
            .map(graph::outputOrThrow)
            .filter(output -> isDifferentiable(output.dataType()))
            .toList();
    if (trainable.isEmpty()) {
      return this;
    }
    var outcome = GradientTrial.of(graph, floating, trainable);
    if (outcome.failure().isPresent()) {
      List<GradientObstacle> more = new ArrayList<>(obstacles);
      more.add(outcome.failure().get().in(flat));
      List<Variable> stopped = new ArrayList<>(blocked);
      stopped.addAll(trainable);
      return new Trainability(more, List.of(), stopped, unused);
    }
    List<Variable> reached = new ArrayList<>();
    List<Variable> without = new ArrayList<>(unused);
    for (int i = 0; i < trainable.size(); i++) {
      (outcome.gradients().get(i).isPresent() ? reached : without).add(trainable.get(i));
    }
    return new Trainability(obstacles, reached, blocked, without);
  }

  private static String handle(Variable variable) {
    return variable.handle().op().name();
  }

  private record Paths(
      GraphIndex index,
      Set<String> handles,
      Map<String, List<Integer>> carried,
      Map<String, List<DataType>> outputTypes) {

    boolean isEnd(NodeDef node) {
      return handles.contains(node.getName()) || LossGradients.stops(node.getOp());
    }

    /** The inputs that get a gradient: the moving statistics of a batch normalization do not. */
    List<String> flowing(NodeDef node) {
      List<String> inputs = node.getInputList();
      if (carried.containsKey(node.getName())) {
        return carried.get(node.getName()).stream().map(inputs::get).toList();
      }
      boolean isNorm = node.getOp().startsWith("FusedBatchNorm");
      return isEnd(node) ? List.of() : passable(isNorm ? inputs.subList(0, 3) : inputs);
    }

    List<String> passable(Collection<String> references) {
      return references.stream().filter(this::isPassable).toList();
    }

    private boolean isPassable(String reference) {
      NodeDef node = index.find(reference).orElse(null);
      if (TensorNames.isControl(reference) || node == null) {
        return false;
      }
      List<DataType> types =
          outputTypes.computeIfAbsent(node.getName(), name -> OpDefinitions.outputTypes(node));
      int output = TensorNames.index(reference);
      return output >= types.size() || isDifferentiable(types.get(output));
    }

    Set<String> leadingTo(Set<String> ends, Set<String> seen) {
      Map<String, List<String>> users = new HashMap<>();
      for (String name : seen) {
        for (String input : flowing(index.require(name, "a gradient"))) {
          users.computeIfAbsent(TensorNames.node(input), key -> new ArrayList<>()).add(name);
        }
      }
      return index.reached(ends, node -> users.getOrDefault(node.getName(), List.of()));
    }
  }

  /** Why an op passes no gradient on; null if it does. */
  private static String reason(NodeDef node) {
    String op = node.getOp();
    var none = AttrValue.getDefaultInstance();
    if (op.equals("GatherV2") && node.getAttrOrDefault("batch_dims", none).getI() < 0) {
      return "a gather with negative batch_dims has no gradient here";
    }
    return switch (op) {
      case "Enter", "Exit", "NextIteration", "LoopCond", "Switch", "Merge" -> OLD_CONTROL_FLOW;
      default -> isDifferentiable(op) ? null : "the op has no gradient here";
    };
  }

  public boolean isTrainable() {
    return obstacles.isEmpty() && !trainable.isEmpty();
  }

  public String summary() {
    if (isTrainable()) {
      String others = unused.isEmpty() ? "" : "; none reaches " + names(unused);
      return "can be trained: gradients reach " + trainable.size() + " variables" + others;
    }
    if (obstacles.isEmpty()) {
      return "cannot be trained: no trainable variable has a part in the outputs";
    }
    var items = Excerpt.items(obstacles.stream().map(GradientObstacle::toString).toList());
    String part = trainable.isEmpty() ? "" : " in full";
    return "cannot be trained" + part + ": " + String.join("; ", items);
  }

  private static String names(List<Variable> variables) {
    return String.join(", ", Excerpt.items(variables.stream().map(Variable::name).toList()));
  }
}
