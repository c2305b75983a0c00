package dev.performer.training.optim;

import dev.performer.graph.LossGradients;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Graph;
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
    var reached = Ancestors.of(List.of(loss), false).keySet();
    List<Variable> candidates = new ArrayList<>();
    List<Variable> unused = new ArrayList<>();
    for (Variable variable : all.stream().filter(Variable::trainable).toList()) {
      boolean used =
          reached.contains(variable.handle().op().name())
              && TFloating.class.isAssignableFrom(variable.type());
      (used ? candidates : unused).add(variable);
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
}
