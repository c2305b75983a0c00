package dev.performer.graph;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;

/** Gradients of a loss with respect to variables, whatever part they have in it. */
public final class LossGradients {
  private LossGradients() {}

  /**
   * Adds the gradients to the graph.
   *
   * @param loss a floating point tensor; if it is no scalar, its sum is differentiated
   * @param variables each must be one that the loss depends on
   * @return one dense gradient per variable, in order; zeros where the loss depends on it only
   *     through ops that stop gradients on purpose
   */
  public static List<Output<?>> of(Ops tf, Output<?> loss, List<Variable> variables) {
    RawOps ops = new RawOps(tf);
    List<Optional<Output<?>>> found = find((Graph) tf.scope().env(), loss, variables);
    List<Output<?>> gradients = new ArrayList<>();
    for (int i = 0; i < found.size(); i++) {
      // Two variables may share one gradient tensor, which cannot be fetched twice.
      gradients.add(
          found.get(i).isPresent()
              ? ops.op("Identity", found.get(i).get())
              : ops.zerosLike(variables.get(i).read(tf).asOutput()));
    }
    return gradients;
  }

  /**
   * Adds the gradients to the graph, as TensorFlow makes them.
   *
   * @param loss a floating point tensor; if it is no scalar, its sum is differentiated
   * @param variables each must be one that the loss depends on
   * @return a gradient per variable, in order; empty where the loss depends on it only through ops
   *     that stop gradients
   */
  public static List<Optional<Output<?>>> find(
      Graph graph, Output<?> loss, List<Variable> variables) {
    if (variables.isEmpty()) {
      return List.of();
    }
    MissingGradients.register();
    Output<?>[] handles = variables.stream().map(Variable::handle).toArray(Output<?>[]::new);
    List<Optional<Output<?>>> gradients = new ArrayList<>();
    for (Output<?> gradient : graph.addGradients(loss, handles)) {
      gradients.add(RawOps.isPresent(gradient) ? Optional.of(gradient) : Optional.empty());
    }
    return gradients;
  }
}
