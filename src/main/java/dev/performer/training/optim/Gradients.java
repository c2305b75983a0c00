package dev.performer.training.optim;

import dev.performer.graph.LossGradients;
import dev.performer.graph.Variable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.types.family.TFloating;

/**
 * Gradients of a loss with respect to the variables it depends on.
 *
 * @param variables those with a gradient
 * @param values their gradients, in the same order
 * @param unused trainable variables without one
 * @param ofInputs gradients of what else has them, in their order
 */
public record Gradients(
    List<Variable> variables,
    List<Output<?>> values,
    List<Variable> unused,
    List<Output<?>> ofInputs) {
  /** Fails with an IllegalArgumentException if no trainable variable has a gradient. */
  static Gradients of(Graph graph, OptimizerOps.Minimized minimized, List<Variable> all) {
    var reached = ancestors(List.of(minimized.loss()), false).keySet();
    List<Variable> candidates = new ArrayList<>();
    List<Variable> unused = new ArrayList<>();
    for (Variable variable : all.stream().filter(Variable::trainable).toList()) {
      boolean used =
          reached.contains(variable.handle().op().name())
              && TFloating.class.isAssignableFrom(variable.type());
      (used ? candidates : unused).add(variable);
    }
    requireAny(candidates, "the loss depends on no trainable variable");
    List<Output<?>> sought = new ArrayList<>(candidates.stream().map(Variable::handle).toList());
    sought.addAll(minimized.inputs());
    var found = LossGradients.find(graph, minimized.loss(), sought, minimized.parts());
    List<Variable> variables = new ArrayList<>();
    List<Output<?>> values = new ArrayList<>();
    int count = candidates.size();
    for (int i = 0; i < count; i++) {
      (found.get(i).isPresent() ? variables : unused).add(candidates.get(i));
      found.get(i).ifPresent(values::add);
    }
    requireAny(variables, "no gradient of the loss reaches a trainable variable");
    List<Output<?>> ofInputs = new ArrayList<>();
    found.subList(count, found.size()).forEach(gradient -> ofInputs.add(gradient.orElseThrow()));
    return new Gradients(
        List.copyOf(variables), List.copyOf(values), List.copyOf(unused), ofInputs);
  }

  private static void requireAny(List<Variable> variables, String otherwise) {
    if (variables.isEmpty()) {
      throw new IllegalArgumentException(otherwise);
    }
  }

  /** What outputs are computed from, by name, their own operations first; control if it counts. */
  public static Map<String, GraphOperation> ancestors(
      Collection<? extends Output<?>> outputs, boolean control) {
    Map<String, GraphOperation> found = new LinkedHashMap<>();
    var open = new ArrayDeque<GraphOperation>();
    outputs.forEach(output -> open.add((GraphOperation) output.op()));
    while (!open.isEmpty()) {
      GraphOperation operation = open.remove();
      if (found.putIfAbsent(operation.name(), operation) == null) {
        for (Operand<?> input : operation.inputs()) {
          open.add((GraphOperation) input.asOutput().op());
        }
        if (control) {
          operation.controlInputs().forEach(open::add);
        }
      }
    }
    return found;
  }
}
