package dev.performer.training.optim;

import dev.performer.graph.Recomputation;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt64;

/**
 * An {@link Optimizer} as ops of a model's graph: gradients, clipping by global norm and update
 * happen in one run of {@link #update}. Where the gradient is not finite, the run fails with {@link
 * #NOT_FINITE} in its message and no variable has changed. With an accumulation, {@link
 * #accumulate} adds up the gradients of a batch, weighted by what it guesses, and {@link #update}
 * takes a step with their mean.
 *
 * @param accumulate null without accumulation
 * @param learningRate placeholder, scalar
 * @param gradientNorm global norm before clipping, scalar
 * @param gradients of one batch
 * @param seam where {@link #update} can be cut in two; null once it is
 * @param slots the optimizer's own variables, to be saved between steps
 * @param sums of gradients between batches; need not be saved
 * @param initializer gives slots and sums their first values
 */
public record OptimizerOps(
    Op update,
    Op accumulate,
    Operand<TFloat64> learningRate,
    Output<TFloat64> gradientNorm,
    Gradients gradients,
    Seam seam,
    List<Variable> slots,
    List<Variable> sums,
    Consumer<Session> initializer) {
  /** Gradients of a step and their norm; nothing is changed before that was found to be finite. */
  public record Seam(
      List<Output<TFloat32>> gradients, Output<TFloat64> norm, Output<TFloat64> finiteNorm) {}

  /**
   * What a step makes smaller.
   *
   * @param loss a scalar: the mean over {@code weight}, or the sum where {@code isSum}
   * @param weight a scalar: how much a batch counts in a step; null where each step is one batch
   * @param inputs what has gradients besides variables
   * @param parts what is computed again for its gradient
   */
  public record Minimized(
      Output<TFloat32> loss,
      Operand<TFloat32> weight,
      boolean isSum,
      List<Output<TFloat32>> inputs,
      Recomputation parts) {
    /** The mean loss of a graph whose parts are computed once. */
    public static Minimized mean(Output<TFloat32> loss, Operand<TFloat32> weight) {
      return new Minimized(loss, weight, false, List.of(), Recomputation.NONE);
    }
  }

  /** In the error of a step that failed for its gradient. */
  public static final String NOT_FINITE = "the gradient's norm is not finite";

  /** How names of an optimizer's variables begin. */
  public static String scope(Optimizer optimizer) {
    return "performer_" + optimizer.label();
  }

  /** The same where computing this norm is the update. */
  public OptimizerOps compiled(Output<TFloat64> norm, Op adds) {
    return new OptimizerOps(
        norm, adds, learningRate, norm, gradients, null, slots, sums, initializer);
  }

  /**
   * Adds gradients and update to the graph; an IllegalArgumentException if nothing can be trained.
   *
   * @param minimized the loss
   * @param groups which of the variables are trained, and how fast
   * @param averages moved along with every update; null for none
   */
  public static OptimizerOps build(
      Graph graph,
      Minimized minimized,
      List<Variable> variables,
      ParameterGroups groups,
      Averages averages,
      Optimizer optimizer,
      double clipNorm) {
    Ops tf = Ops.create(graph).withSubScope("optimizer");
    Gradients found = Gradients.of(graph, minimized, groups.of(variables));
    requireFloat32(optimizer, found.variables());
    Variables slots = new Variables(tf);
    Variables sums = new Variables(tf);
    String scope = scope(optimizer);
    Variable count = slots.create(scope + "/step", Shape.scalar(), false, tf.constant(0L));
    var rate = tf.placeholder(TFloat64.class, Placeholder.shape(Shape.scalar()));
    var accumulation =
        minimized.weight() == null ? null : Accumulation.of(tf, sums, found, minimized, scope);
    List<Output<TFloat32>> gradients = new ArrayList<>();
    for (int i = 0; i < found.values().size(); i++) {
      var mean =
          accumulation == null ? float32(tf, found.values().get(i)) : accumulation.means().get(i);
      gradients.add(tf.identity(mean).asOutput());
    }
    Operand<TFloat64> anyNorm = globalNorm(tf, gradients);
    var norm = tf.debugging.checkNumerics(anyNorm, NOT_FINITE);
    Ops after = tf.withControlDependencies(List.of(norm));
    Op counted = after.assignAddVariableOp(count.handle(), tf.constant(1L));
    Ops then = tf.withControlDependencies(List.of(counted));
    var t = tf.dtypes.cast(then.readVariableOp(count.handle(), TInt64.class), TFloat64.class);
    var clip = tf.constant(clipNorm);
    var scale = clipNorm > 0 ? tf.math.div(clip, tf.math.maximum(norm, clip)) : tf.constant(1.0);
    List<Op> updates = new ArrayList<>();
    for (int i = 0; i < gradients.size(); i++) {
      Variable variable = found.variables().get(i);
      boolean decays = optimizer.decaysAll() || UpdateRule.decays(variable);
      var clipped = after.math.mul(gradients.get(i), tf.dtypes.cast(scale, TFloat32.class));
      double decay = decays ? optimizer.weightDecay() : 0;
      double factor = groups.factor(variable);
      Operand<TFloat64> own = factor == 1 ? rate : tf.math.mul(rate, tf.constant(factor));
      var shared = new UpdateRule.Shared(tf, slots, scope, t, own);
      updates.add(new UpdateRule(after, shared, variable, clipped, decay).of(optimizer));
    }
    if (accumulation != null) {
      updates.add(accumulation.clear(tf.withControlDependencies(List.copyOf(updates))));
    }
    Ops last = tf.withControlDependencies(updates);
    return new OptimizerOps(
        averages == null ? last.noOp() : averages.follow(last, t),
        accumulation == null ? null : accumulation.add(),
        rate,
        tf.identity(norm).asOutput(),
        found,
        new Seam(List.copyOf(gradients), anyNorm.asOutput(), norm.asOutput()),
        slots.all(),
        sums.all(),
        session -> {
          slots.initialize(session);
          sums.initialize(session);
        });
  }

  private static Operand<TFloat64> globalNorm(Ops tf, List<Output<TFloat32>> gradients) {
    List<Operand<TFloat64>> squares = new ArrayList<>();
    gradients.forEach(g -> squares.add(tf.dtypes.cast(tf.nn.l2Loss(g), TFloat64.class)));
    return tf.math.sqrt(tf.math.mul(tf.constant(2.0), tf.math.addN(squares)));
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static Operand<TFloat32> float32(Ops tf, Output<?> gradient) {
    return gradient.type() == TFloat32.class
        ? gradient.expect(TFloat32.class)
        : tf.dtypes.cast((Operand) gradient, TFloat32.class);
  }

  private static void requireFloat32(Optimizer optimizer, List<Variable> trained) {
    for (Variable variable : trained) {
      if (variable.type() != TFloat32.class && !(optimizer instanceof Optimizer.AdamW)) {
        String text = "%s is not float32, which only adamw trains, not %s";
        throw new IllegalArgumentException(text.formatted(variable.name(), optimizer.label()));
      }
    }
  }

  /** Sums of gradients times weights, and of the weights. */
  private record Accumulation(Op add, List<Operand<TFloat32>> means, List<Variable> sums) {
    static Accumulation of(
        Ops tf, Variables variables, Gradients gradients, Minimized minimized, String scope) {
      Operand<TFloat32> weight = minimized.weight();
      String sums = scope + "/sum/";
      var total = variables.create(sums + "weight", Shape.scalar(), false, tf.constant(0f));
      List<Op> added = new ArrayList<>();
      List<Operand<TFloat32>> means = new ArrayList<>();
      added.add(tf.assignAddVariableOp(total.handle(), weight));
      for (int i = 0; i < gradients.variables().size(); i++) {
        Variable variable = gradients.variables().get(i);
        Shape shape = variable.shape();
        var sum = variables.create(sums + variable.name(), shape, false, zeros(tf, shape));
        var gradient = float32(tf, gradients.values().get(i));
        var weighted = minimized.isSum() ? gradient : tf.math.mul(gradient, weight);
        added.add(tf.assignAddVariableOp(sum.handle(), weighted));
        Operand<TFloat32> value = sum.read(tf);
        Operand<TFloat32> weights = total.read(tf);
        means.add(tf.math.div(value, tf.math.maximum(weights, tf.constant(1e-9f))));
      }
      return new Accumulation(tf.withControlDependencies(added).noOp(), means, variables.all());
    }

    Op clear(Ops after) {
      List<Op> cleared = new ArrayList<>();
      sums.forEach(s -> cleared.add(Variables.assign(after, s, zeros(after, s.shape()))));
      return after.withControlDependencies(cleared).noOp();
    }

    private static Operand<TFloat32> zeros(Ops tf, Shape shape) {
      return tf.fill(tf.constant(shape), tf.constant(0f));
    }
  }
}
