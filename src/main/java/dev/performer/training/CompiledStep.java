package dev.performer.training;

import dev.performer.graph.Variable;
import dev.performer.graph.XlaFunction;
import dev.performer.training.optim.Gradients;
import dev.performer.training.optim.OptimizerOps;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat64;

/**
 * A training step of which XLA compiles everything, as two functions: from the batch to gradients
 * and their norm, and from there to the new weights, slots and averages. Between them it is seen
 * whether the norm is finite, which XLA itself cannot see, so that a step that is not changes
 * nothing. Evaluation, diagnostics and redraws are run op by op, as they are without XLA.
 *
 * @param model measured by the compiled step
 * @param optimizer compiled
 */
public record CompiledStep(Trainable model, OptimizerOps optimizer) {
  /** Cuts a step out of its graph, compiled calls beside it; an error names what XLA cannot do. */
  public static CompiledStep of(Trainable model, OptimizerOps optimizer) {
    List<Variable> variables = new ArrayList<>(model.variables());
    model.averages().ifPresent(averages -> variables.addAll(averages.averages().values()));
    variables.addAll(optimizer.slots());
    variables.addAll(optimizer.sums());
    Ops tf = Ops.create(model.graph()).withSubScope("compiled");
    List<Output<?>> computed = new ArrayList<>(optimizer.seam().gradients());
    computed.add(optimizer.seam().norm());
    Output<?> added = null;
    if (optimizer.accumulate() == null) {
      computed.add(model.sums());
    } else {
      var after = tf.withControlDependencies(List.of(optimizer.accumulate()));
      added = call(tf, List.of(after.identity(model.sums()).asOutput()), variables).get(0);
    }
    List<Output<?>> gradients = call(tf, computed, variables);
    Output<?> sums = added != null ? added : gradients.get(computed.size() - 1);
    Output<?> norm = update(tf, optimizer, gradients, variables);
    return new CompiledStep(
        model.withSums(sums.expect(TFloat64.class)),
        optimizer.compiled(norm.expect(TFloat64.class), added));
  }

  /** A session for a graph whose step may be compiled. */
  public static Session session(Graph graph, boolean xla) {
    return xla ? new Session(graph, false, XlaFunction.sessionConfig()) : new Session(graph, false);
  }

  /** The norm, once everything is updated. */
  private static Output<?> update(
      Ops tf, OptimizerOps optimizer, List<Output<?>> gradients, List<Variable> variables) {
    OptimizerOps.Seam seam = optimizer.seam();
    int count = seam.gradients().size();
    Output<?> rate = optimizer.learningRate().asOutput();
    List<Output<?>> inside = new ArrayList<>(seam.gradients());
    inside.addAll(List.of(seam.finiteNorm(), rate));
    Ops after = tf.withControlDependencies(List.of(optimizer.update()));
    Output<?> done = after.identity(seam.finiteNorm()).asOutput();
    Output<TFloat64> norm = gradients.get(count).expect(TFloat64.class);
    List<Output<?>> outside = new ArrayList<>(gradients.subList(0, count));
    outside.add(tf.debugging.checkNumerics(norm, OptimizerOps.NOT_FINITE).asOutput());
    outside.add(rate);
    return XlaFunction.cut(tf, inside, outside, List.of(done), variables).get(0);
  }

  /** Compiles from what has to be fed for these outputs, control dependencies considered. */
  private static List<Output<?>> call(
      Ops tf, List<? extends Output<?>> outputs, List<Variable> variables) {
    List<Output<?>> inputs = new ArrayList<>();
    for (var operation : Gradients.ancestors(outputs, true).values()) {
      if (operation.type().equals("Placeholder")) {
        inputs.add(operation.output(0));
      }
    }
    return XlaFunction.cut(tf, inputs, inputs, outputs, variables);
  }
}
