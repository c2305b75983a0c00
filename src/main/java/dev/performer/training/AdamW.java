package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.checkpoint.OptimizerState;
import dev.performer.data.NpyArray;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Pattern;
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
import org.tensorflow.types.family.TType;

/**
 * Adam with decoupled weight decay on resource variables, as ops of the model's graph: gradients,
 * clipping by global norm and update happen in one {@code Session.run} of {@link #update}.
 *
 * <p>With t counted from 1, {@code m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²} and {@code x ← x −
 * rate·(m̂ / (√v̂ + ε) + decay·x)} with {@code m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)}.
 *
 * @param update one optimizer step
 * @param learningRate placeholder, scalar
 * @param gradientNorm global norm before clipping, scalar
 * @param trained variables that are updated
 * @param unused trainable variables that the loss does not depend on, or not differentiably
 * @param slots the optimizer's own variables: first and second moments and the step count
 * @param initializer sets the slots to zero
 * @see <a href="https://arxiv.org/abs/1711.05101">Decoupled weight decay regularization</a>
 */
public record AdamW(
    Op update,
    Operand<TFloat64> learningRate,
    Output<TFloat64> gradientNorm,
    List<Variable> trained,
    List<Variable> unused,
    List<Variable> slots,
    Consumer<Session> initializer) {

  /** Names that begin thus belong to the optimizer. */
  public static final String SCOPE = "performer_adamw";

  private static final Pattern NOT_DECAYED =
      Pattern.compile("(?i)(^|[/_.])(bias|beta|gamma|scale|[a-z]*norm(alization)?)([/_.:]|$)");

  /**
   * Constants of the optimizer; the defaults are those of Google's protein_lm.
   *
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment; 0.98 forgets faster than Adam's 0.999, which suits
   *     runs of hundreds of steps
   * @param epsilon added to the root of the second moment
   * @param weightDecay share of a weight that is taken away per step and unit of learning rate;
   *     biases, normalisations and all variables of less than two dimensions are spared
   * @param clipNorm greatest global norm of a gradient; longer ones are scaled down; 0 for no limit
   * @param decaysAll whether weight decay spares nothing, as in Flax
   */
  public record Config(
      double beta1,
      double beta2,
      double epsilon,
      double weightDecay,
      double clipNorm,
      boolean decaysAll) {
    /** Adam as protein_lm sets it, BERT's weight decay and clipping. */
    public static final Config DEFAULT = new Config(0.9, 0.98, 1e-9, 0.01, 1.0);

    /** Google's protein_lm in full: its weight decay, on every variable, and no clipping. */
    public static final Config PROTEIN_LM = new Config(0.9, 0.98, 1e-9, 0.1, 0, true);

    /** Without weight decay of biases, normalisations and vectors. */
    public Config(double beta1, double beta2, double epsilon, double weightDecay, double clipNorm) {
      this(beta1, beta2, epsilon, weightDecay, clipNorm, false);
    }

    public Config {
      if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1)) {
        throw new IllegalArgumentException("betas must be in [0, 1): " + beta1 + ", " + beta2);
      }
      if (!(epsilon > 0 && weightDecay >= 0 && clipNorm >= 0)) {
        throw new IllegalArgumentException(
            "epsilon must be positive, weight decay and clip norm not negative: "
                + epsilon
                + ", "
                + weightDecay
                + ", "
                + clipNorm);
      }
    }

    /** The same with another weight decay. */
    public Config withWeightDecay(double value) {
      return new Config(beta1, beta2, epsilon, value, clipNorm, decaysAll);
    }

    /** The same with another clip norm. */
    public Config withClipNorm(double value) {
      return new Config(beta1, beta2, epsilon, weightDecay, value, decaysAll);
    }
  }

  /**
   * Adds gradients and update to the graph.
   *
   * @param loss a scalar
   * @param variables the trainable ones among them are updated
   * @throws IllegalArgumentException if the loss depends on no trainable variable
   */
  public static AdamW build(
      Graph graph, Output<TFloat32> loss, List<Variable> variables, Config config) {
    return build(graph, loss, variables, config, false);
  }

  /**
   * The same.
   *
   * @param stops whether a run fails, before anything has changed, where the gradient is not finite
   */
  static AdamW build(
      Graph graph, Output<TFloat32> loss, List<Variable> variables, Config config, boolean stops) {
    Ops tf = Ops.create(graph).withSubScope("adamw");
    Gradients gradients = Gradients.of(graph, loss, variables);
    Variables slots = new Variables(tf);
    Variable step = slots.create(SCOPE + "/step", Shape.scalar(), false, tf.constant(0L));
    var learningRate = tf.placeholder(TFloat64.class, Placeholder.shape(Shape.scalar()));

    var norm = globalNorm(tf, gradients.values());
    if (stops) {
      norm = tf.debugging.checkNumerics(norm, OptimizerOps.NOT_FINITE);
    }
    var clip = tf.constant(config.clipNorm());
    var scale =
        config.clipNorm() > 0 ? tf.math.div(clip, tf.math.maximum(norm, clip)) : tf.constant(1.0);
    Op counted =
        tf.withControlDependencies(List.of(norm))
            .assignAddVariableOp(step.handle(), tf.constant(1L));
    var t =
        tf.dtypes.cast(
            tf.withControlDependencies(List.of(counted))
                .readVariableOp(step.handle(), TInt64.class),
            TFloat64.class);
    var corrected = biasCorrected(tf, config, t, learningRate);
    List<Op> updates = new ArrayList<>();
    for (int i = 0; i < gradients.variables().size(); i++) {
      Variable variable = gradients.variables().get(i);
      updates.add(
          update(
              tf,
              norm,
              slots,
              config,
              variable,
              gradients.values().get(i),
              scale,
              corrected,
              learningRate));
    }
    Op update = tf.withControlDependencies(updates).noOp();
    return new AdamW(
        update,
        learningRate,
        norm.asOutput(),
        gradients.variables(),
        gradients.unused(),
        slots.all(),
        slots::initialize);
  }

  /**
   * Rate and ε with the bias corrections folded in, computed in float64: {@code
   * rate·√(1−β₂ᵗ)/(1−β₁ᵗ)} and {@code ε·√(1−β₂ᵗ)}, so that TensorFlow's fused kernel gives the
   * textbook's step.
   */
  private record Corrected(Operand<TFloat64> rate, Operand<TFloat64> epsilon) {}

  private static Corrected biasCorrected(
      Ops tf, Config config, Operand<TFloat64> t, Operand<TFloat64> rate) {
    var one = tf.constant(1.0);
    // The kernel sees the betas as float32; the powers must be of the same numbers.
    var first = tf.math.sub(one, tf.math.pow(tf.constant(single(config.beta1())), t));
    var second = tf.math.sub(one, tf.math.pow(tf.constant(single(config.beta2())), t));
    var root = tf.math.sqrt(second);
    return new Corrected(
        tf.math.div(tf.math.mul(rate, root), first),
        tf.math.mul(tf.constant(config.epsilon()), root));
  }

  private static Operand<TFloat64> globalNorm(Ops tf, List<Output<?>> gradients) {
    List<Operand<TFloat64>> squares = new ArrayList<>();
    for (Output<?> gradient : gradients) {
      squares.add(tf.dtypes.cast(halfSquare(tf, gradient), TFloat64.class));
    }
    return tf.math.sqrt(tf.math.mul(tf.constant(2.0), tf.math.addN(squares)));
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static Operand<?> halfSquare(Ops tf, Output<?> gradient) {
    return tf.nn.l2Loss((Operand) gradient);
  }

  @SuppressWarnings("unchecked")
  private static <T extends TType> Op update(
      Ops tf,
      Op norm,
      Variables slots,
      Config config,
      Variable variable,
      Output<?> gradient,
      Operand<TFloat64> scale,
      Corrected corrected,
      Operand<TFloat64> rate) {
    Class<T> type = (Class<T>) variable.type();
    var zeros = tf.fill(tf.constant(variable.shape()), tf.dtypes.cast(tf.constant(0.0), type));
    Variable m = slots.create(SCOPE + "/m/" + variable.name(), variable.shape(), false, zeros);
    Variable v = slots.create(SCOPE + "/v/" + variable.name(), variable.shape(), false, zeros);
    var clipped = tf.math.mul((Output<T>) gradient, tf.dtypes.cast(scale, type));
    Op before = norm;
    if (config.weightDecay() > 0 && (config.decaysAll() || decays(variable))) {
      var share = tf.math.mul(rate, tf.constant(config.weightDecay()));
      // Every gradient depends on every weight that was read; so the norm comes after all reads.
      Ops after = tf.withControlDependencies(List.of(norm));
      before =
          after.assignSubVariableOp(
              variable.handle(),
              after.math.mul(variable.<T>read(after), tf.dtypes.cast(share, type)));
    }
    var none = tf.dtypes.cast(tf.constant(0.0), type);
    return tf.withControlDependencies(List.of(before))
        .train
        .resourceApplyAdam(
            variable.handle(),
            m.handle(),
            v.handle(),
            none,
            none,
            tf.dtypes.cast(corrected.rate(), type),
            tf.dtypes.cast(tf.constant(single(config.beta1())), type),
            tf.dtypes.cast(tf.constant(single(config.beta2())), type),
            tf.dtypes.cast(corrected.epsilon(), type),
            clipped);
  }

  /**
   * Sets the slots to what an optimizer had gathered before, instead of the initializer's zeros.
   *
   * @throws PerformerException if the state lacks a variable that is updated, or has it in another
   *     shape
   */
  public void load(Graph graph, Session session, OptimizerState state) {
    Ops tf = Ops.create(graph).withSubScope("adamw_load");
    Session.Runner runner = session.runner();
    for (Variable slot : slots) {
      Operand<?> value = tf.constant(state.step());
      if (!slot.name().equals(SCOPE + "/step")) {
        value = moment(tf, slot, state);
      }
      runner.addTarget(Variables.assign(tf, slot, value));
    }
    runner.run().close();
  }

  private static Operand<?> moment(Ops tf, Variable slot, OptimizerState state) {
    boolean isFirst = slot.name().startsWith(SCOPE + "/m/");
    String name = slot.name().substring((SCOPE + "/m/").length());
    NpyArray saved = (isFirst ? state.firstMoments() : state.secondMoments()).get(name);
    if (saved == null || !Arrays.equals(saved.shape(), slot.shape().asArray())) {
      throw new PerformerException(
          "the saved optimizer has "
              + (saved == null ? "no moments" : "moments " + saved)
              + " for "
              + name
              + " "
              + slot.shape()
              + "; begin with a new optimizer");
    }
    return tf.reshape(tf.constant(saved.floats()), tf.constant(saved.shape()));
  }

  /** The number that a float32 kernel sees. */
  private static double single(double value) {
    return (float) value;
  }

  /** Whether weight decay applies: not to biases, normalisations and vectors. */
  static boolean decays(Variable variable) {
    return variable.shape().numDimensions() >= 2 && !NOT_DECAYED.matcher(variable.name()).find();
  }
}
