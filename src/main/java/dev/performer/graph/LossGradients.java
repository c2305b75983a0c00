package dev.performer.graph;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.Output;

/** Gradients of a loss with respect to variables, whatever part they have in it. */
public final class LossGradients {
  private LossGradients() {}

  /**
   * Adds the gradients to the graph, dense ones. Two variables may share one gradient tensor.
   *
   * @param loss if it is no scalar, its sum is differentiated
   * @param variables each must be one that the loss depends on
   * @return in order; empty where the loss depends on a variable only through ops that stop
   *     gradients
   */
  public static List<Optional<Output<?>>> find(
      Graph graph, Output<?> loss, List<Variable> variables) {
    if (variables.isEmpty()) {
      return List.of();
    }
    MissingGradients.register();
    Output<?>[] handles = variables.stream().map(Variable::handle).toArray(Output<?>[]::new);
    return Arrays.stream(graph.addGradients(loss, handles))
        .map(dx -> Optional.<Output<?>>ofNullable(dx).filter(RawOps::isPresent))
        .toList();
  }
}
