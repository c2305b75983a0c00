package dev.performer.graph;

import java.util.ArrayList;
import java.util.List;
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
    if (variables.isEmpty()) {
      return List.of();
    }
    MissingGradients.register();
    RawOps ops = new RawOps(tf);
    Output<?>[] handles =
        variables.stream().map(v -> (Output<?>) v.handle()).toArray(Output<?>[]::new);
    Output<?>[] found = ((Graph) tf.scope().env()).addGradients(loss, handles);
    List<Output<?>> gradients = new ArrayList<>();
    for (int i = 0; i < found.length; i++) {
      // Two variables may share one gradient tensor, which cannot be fetched twice.
      gradients.add(
          RawOps.isPresent(found[i])
              ? ops.op("Identity", found[i])
              : ops.zerosLike(variables.get(i).read(tf).asOutput()));
    }
    return gradients;
  }
}
