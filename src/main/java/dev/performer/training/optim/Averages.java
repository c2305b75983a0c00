package dev.performer.training.optim;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * Exponential moving averages of weights, {@code a ← d·a + (1−d)·x} after every step, with {@code d
 * = min(decay, (1 + t)/(10 + t))} so that the first weights are soon forgotten.
 *
 * @param averages by the name of the weight
 */
public record Averages(double decay, Map<String, Variable> averages, List<Variable> weights) {
  /** Names that begin thus are averages. */
  public static final String SCOPE = "performer_average";

  /** Creates the variables; they begin as the weights do, once {@link #initializer} ran. */
  public static Averages create(Variables variables, List<Variable> weights, double decay) {
    Map<String, Variable> averages = new LinkedHashMap<>();
    for (Variable weight : weights) {
      String name = SCOPE + "/" + weight.name();
      averages.put(weight.name(), variables.declare(name, weight.type(), weight.shape(), false));
    }
    return new Averages(decay, averages, List.copyOf(weights));
  }

  /** The average of a weight, or the variable itself if it has none. */
  public Variable of(Variable variable) {
    return averages.getOrDefault(variable.name(), variable);
  }

  /** Adds an op that makes every average its weight. */
  public Op initializer(Ops tf) {
    List<Op> assigned = new ArrayList<>();
    weights.forEach(w -> assigned.add(Variables.assign(tf, of(w), w.read(tf))));
    return tf.withControlDependencies(assigned).noOp();
  }

  /** Adds an op that moves the averages after the weights changed. @param step t, from 1 */
  Op follow(Ops after, Operand<TFloat64> step) {
    var above = after.math.add(step, after.constant(1.0));
    var early = after.math.div(above, after.math.add(step, after.constant(10.0)));
    var d = after.math.minimum(after.constant(decay), early);
    var share = after.dtypes.cast(after.math.sub(after.constant(1.0), d), TFloat32.class);
    List<Op> moved = new ArrayList<>();
    for (Variable weight : weights) {
      Variable average = of(weight);
      Operand<TFloat32> old = average.read(after);
      Operand<TFloat32> towards = after.math.sub(weight.<TFloat32>read(after), old);
      moved.add(after.assignAddVariableOp(average.handle(), after.math.mul(share, towards)));
    }
    return after.withControlDependencies(moved).noOp();
  }
}
