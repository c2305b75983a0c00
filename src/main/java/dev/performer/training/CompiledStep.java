package dev.performer.training;

import dev.performer.graph.Variable;
import dev.performer.graph.XlaFunction;
import dev.performer.training.optim.Ancestors;
import dev.performer.training.optim.OptimizerOps;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat64;

/**
 * A training step of which XLA compiles everything, as two functions: from the batch to gradients
 * and their norm, and from there to the new weights, slots and averages. Between them it is seen
 * whether the norm is finite, which XLA itself cannot see, so that a step that is not changes
 * nothing.
 *
 * <p>Evaluation, diagnostics and redraws are run op by op, as they are without XLA.
 *
 * @param model measured by the compiled step
 * @param optimizer compiled
 */
public record CompiledStep(Trainable model, OptimizerOps optimizer) {

  /** Cuts a step out of its graph, compiled calls beside it; an error names what XLA cannot do. */
  public static CompiledStep of(Trainable model, OptimizerOps optimizer) {
    OptimizerOps.Seam seam = optimizer.seam();
    List<Variable> variables = new ArrayList<>(model.variables());
    model.averages().ifPresent(averages -> variables.addAll(averages.averages().values()));
    variables.addAll(optimizer.slots());
    variables.addAll(optimizer.sums());
    Ops tf = Ops.create(model.graph()).withSubScope("compiled");
    Output<TFloat64> sums = model.sums();
    Op accumulate = null;
    if (optimizer.accumulate() != null) {
      var after = tf.withControlDependencies(List.of(optimizer.accumulate()));
      Output<?> added = call(tf, List.of(after.identity(sums).asOutput()), variables).get(0);
      sums = added.expect(TFloat64.class);
      accumulate = added;
    }
    List<Output<?>> computed = new ArrayList<>(seam.gradients());
    computed.add(seam.norm());
    if (accumulate == null) {
      computed.add(sums);
    }
    List<Output<?>> gradients = call(tf, computed, variables);
    if (accumulate == null) {
      sums = gradients.get(computed.size() - 1).expect(TFloat64.class);
    }
    Output<?> norm = update(tf, optimizer, gradients, variables);
    return new CompiledStep(
        model.withSums(sums), optimizer.compiled(norm.expect(TFloat64.class), accumulate));
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
    inside.add(seam.finiteNorm());
    inside.add(rate);
    Ops after = tf.withControlDependencies(List.of(optimizer.update()));
    Output<?> done = after.identity(seam.finiteNorm()).asOutput();
    Output<TFloat64> norm = gradients.get(count).expect(TFloat64.class);
    List<Output<?>> outside = new ArrayList<>(gradients.subList(0, count));
    outside.add(tf.debugging.checkNumerics(norm, OptimizerOps.NOT_FINITE).asOutput());
    outside.add(rate);
    return XlaFunction.cut(tf, inside, outside, List.of(done), variables).get(0);
  }

  private static List<Output<?>> call(
      Ops tf, List<? extends Output<?>> outputs, List<Variable> variables) {
    List<Output<?>> inputs = placeholders(outputs);
    return XlaFunction.cut(tf, inputs, inputs, outputs, variables);
  }

  /** What has to be fed for these outputs, control dependencies considered. */
  private static List<Output<?>> placeholders(List<? extends Output<?>> outputs) {
    List<Output<?>> found = new ArrayList<>();
    for (var operation : Ancestors.of(outputs, true).values()) {
      if (operation.type().equals("Placeholder")) {
        found.add(operation.output(0));
      }
    }
    return found;
  }
}
