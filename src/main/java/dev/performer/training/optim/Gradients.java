package dev.performer.training.optim;

import dev.performer.graph.LossGradients;
import dev.performer.graph.Variable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
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
 */
record Gradients(List<Variable> variables, List<Output<?>> values, List<Variable> unused) {

  /**
   * @throws IllegalArgumentException if no trainable variable has a gradient
   */
  static Gradients of(Graph graph, Output<?> loss, List<Variable> all) {
    Set<String> reached = operationsBehind(loss);
    List<Variable> candidates = new ArrayList<>();
    List<Variable> unused = new ArrayList<>();
    for (Variable variable : all) {
      if (variable.trainable()) {
        boolean used =
            reached.contains(variable.handle().op().name())
                && TFloating.class.isAssignableFrom(variable.type());
        (used ? candidates : unused).add(variable);
      }
    }
    if (candidates.isEmpty()) {
      throw new IllegalArgumentException("the loss depends on no trainable variable");
    }
    List<Optional<Output<?>>> found = LossGradients.find(graph, loss, candidates);
    List<Variable> variables = new ArrayList<>();
    List<Output<?>> values = new ArrayList<>();
    for (int i = 0; i < found.size(); i++) {
      (found.get(i).isPresent() ? variables : unused).add(candidates.get(i));
      found.get(i).ifPresent(values::add);
    }
    if (variables.isEmpty()) {
      throw new IllegalArgumentException("no gradient of the loss reaches a trainable variable");
    }
    return new Gradients(List.copyOf(variables), List.copyOf(values), List.copyOf(unused));
  }

  private static Set<String> operationsBehind(Output<?> loss) {
    Set<String> seen = new HashSet<>();
    Deque<GraphOperation> open = new ArrayDeque<>();
    open.add((GraphOperation) loss.op());
    while (!open.isEmpty()) {
      GraphOperation operation = open.remove();
      if (seen.add(operation.name())) {
        for (Operand<?> input : operation.inputs()) {
          open.add((GraphOperation) input.asOutput().op());
        }
      }
    }
    return seen;
  }
}
