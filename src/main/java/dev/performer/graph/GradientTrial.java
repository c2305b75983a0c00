package dev.performer.graph;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat64;

/**
 * Adds gradients to a graph to see whether they can be built, which of them are none, and whether
 * every op behind them has a kernel. Nothing is run.
 */
public final class GradientTrial {
  private static final class Kernels {
    static final RegisteredKernels ALL = RegisteredKernels.load();
  }

  private final Graph graph;
  private final Output<?> loss;

  /**
   * What came of it.
   *
   * @param gradients of the variables in order, empty where there is none; nothing if it failed
   */
  public record Outcome(List<Optional<Output<?>>> gradients, Optional<GradientObstacle> failure) {}

  private GradientTrial(Graph graph, Collection<? extends Output<?>> outputs) {
    this.graph = graph;
    loss = sum(graph, outputs);
  }

  /** Of the sum of some floating point outputs, with respect to variables they depend on. */
  public static Outcome of(
      Graph graph, Collection<? extends Output<?>> outputs, List<Variable> variables) {
    GradientTrial trial = new GradientTrial(graph, outputs);
    try {
      List<Optional<Output<?>>> found = LossGradients.find(graph, trial.loss, variables);
      List<Output<?>> roots = new ArrayList<>(List.of(trial.loss));
      found.forEach(gradient -> gradient.ifPresent(roots::add));
      Optional<GraphOperation> unknown = withoutKernel(ancestors(roots).values());
      return unknown.isEmpty()
          ? new Outcome(found, Optional.empty())
          : new Outcome(List.of(), Optional.of(trial.withoutKernel(unknown.get())));
    } catch (Refusal e) {
      return new Outcome(List.of(), Optional.of(e.obstacle()));
    } catch (RuntimeException e) { // TensorFlow's exceptions have no common type
      return new Outcome(List.of(), Optional.of(trial.culprit("its gradient cannot be built")));
    }
  }

  private static Output<?> sum(Graph graph, Collection<? extends Output<?>> outputs) {
    Ops tf = Ops.create(graph).withSubScope("gradient_trial");
    RawOps ops = new RawOps(tf);
    List<Operand<TFloat64>> sums = new ArrayList<>();
    for (Output<?> output : new LinkedHashSet<>(outputs)) {
      Output<?> wide = ops.cast(ops.op("Identity", output), ops.number(0));
      sums.add(ops.sum(wide).expect(TFloat64.class));
    }
    return tf.math.addN(sums).asOutput();
  }

  private GradientObstacle withoutKernel(GraphOperation operation) {
    String reason = "the op %s has no kernel here for these types".formatted(operation.type());
    boolean isForward = ancestors(List.of(loss)).containsKey(operation.name());
    return isForward
        ? new GradientObstacle(operation.type(), operation.name(), "", reason)
        : culprit(reason + ", which its gradient needs");
  }

  private static Optional<GraphOperation> withoutKernel(Collection<GraphOperation> operations) {
    return operations.stream()
        .filter(o -> !Kernels.ALL.supports(RegisteredKernels.CPU, o))
        .filter(o -> !Kernels.ALL.supports(RegisteredKernels.GPU, o))
        .findFirst();
  }

  /** The first node, seen from the loss, past which no gradient can be built. */
  private GradientObstacle culprit(String reason) {
    List<GraphOperation> order = new ArrayList<>(ancestors(List.of(loss)).values());
    int good = 0; // so many of the nodes nearest to the loss can be passed
    int bad = order.size();
    while (bad - good > 1) {
      int middle = (good + bad) / 2;
      if (canPass(order.subList(0, middle))) {
        good = middle;
      } else {
        bad = middle;
      }
    }
    GraphOperation node = order.get(bad - 1);
    return new GradientObstacle(node.type(), node.name(), "", reason);
  }

  private boolean canPass(List<GraphOperation> passed) {
    Set<String> names = new LinkedHashSet<>();
    passed.forEach(node -> names.add(node.name()));
    Set<Output<?>> frontier = new LinkedHashSet<>();
    for (GraphOperation node : passed) {
      for (Operand<?> input : node.inputs()) {
        Output<?> output = input.asOutput();
        boolean isOutside = !names.contains(output.op().name());
        if (isOutside && LossGradients.isDifferentiable(output.dataType())) {
          frontier.add(output);
        }
      }
    }
    if (frontier.isEmpty()) {
      return true;
    }
    try {
      Output<?>[] found = graph.addGradients(loss, frontier.toArray(Output<?>[]::new));
      List<Output<?>> present = new ArrayList<>(List.of(found));
      present.removeIf(gradient -> !RawOps.isPresent(gradient));
      return withoutKernel(ancestors(present).values()).isEmpty();
    } catch (RuntimeException e) { // TensorFlow's exceptions have no common type
      return false;
    }
  }

  /** What outputs are computed from, by name: every operation before those it takes input from. */
  private static Map<String, GraphOperation> ancestors(Collection<? extends Output<?>> outputs) {
    Map<String, GraphOperation> all = new LinkedHashMap<>();
    Map<String, Integer> users = new LinkedHashMap<>();
    Deque<GraphOperation> open = new ArrayDeque<>();
    outputs.forEach(output -> open.add((GraphOperation) output.op()));
    while (!open.isEmpty()) {
      GraphOperation operation = open.pop();
      if (all.putIfAbsent(operation.name(), operation) == null) {
        for (Operand<?> input : operation.inputs()) {
          GraphOperation source = (GraphOperation) input.asOutput().op();
          users.merge(source.name(), 1, Integer::sum);
          open.push(source);
        }
      }
    }
    Map<String, GraphOperation> ordered = new LinkedHashMap<>();
    all.values().stream().filter(node -> !users.containsKey(node.name())).forEach(open::add);
    while (!open.isEmpty()) {
      GraphOperation operation = open.pop();
      ordered.put(operation.name(), operation);
      for (Operand<?> input : operation.inputs()) {
        GraphOperation source = (GraphOperation) input.asOutput().op();
        if (users.merge(source.name(), -1, Integer::sum) == 0) {
          open.add(source);
        }
      }
    }
    return ordered;
  }
}
