package dev.performer.training.optim;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TType;

/**
 * The ops by which one variable follows its gradient: one method per optimizer.
 *
 * @param tf adds ops that run after every weight was read
 * @param gradient already clipped, in the shape of the variable
 * @param decay weight decay of this variable
 */
record UpdateRule(
    Ops tf, Shared shared, Variable variable, Operand<TFloat32> gradient, double decay) {
  private static final Pattern SPARED =
      Pattern.compile("(?i)(^|[/_.])(bias|beta|gamma|scale|[a-z]*norm(alization)?)([/_.:]|$)");

  /** What all variables share. @param free adds ops that need not run after reads @param step t */
  record Shared(
      Ops free, Variables slots, String scope, Operand<TFloat64> step, Operand<TFloat64> rate) {}

  /** Whether weight decay applies: it spares biases, normalisations and vectors. */
  static boolean decays(Variable variable) {
    return variable.shape().numDimensions() >= 2 && !SPARED.matcher(variable.name()).find();
  }

  Op of(Optimizer optimizer) {
    if (optimizer instanceof Optimizer.AdamW adam) {
      return adam(adam, variable.type());
    } else if (optimizer instanceof Optimizer.Adafactor adafactor) {
      return adafactor(adafactor);
    } else if (optimizer instanceof Optimizer.Sgd sgd) {
      return sgd(sgd);
    }
    return lion((Optimizer.Lion) optimizer);
  }

  /** A slot of zeros, of the variable's type. */
  private Variable slot(String kind, Shape shape) {
    Ops free = shared.free;
    var zero = free.dtypes.cast(free.constant(0f), variable.type());
    String name = shared.scope + "/" + kind + "/" + variable.name();
    return shared.slots.create(name, shape, false, free.fill(free.constant(shape), zero));
  }

  private Operand<TFloat32> rate() {
    return single(shared.rate);
  }

  private Operand<TFloat32> single(Operand<TFloat64> x) {
    return tf.dtypes.cast(x, TFloat32.class);
  }

  private Operand<TFloat32> scaled(Operand<TFloat32> x, double factor) {
    return factor == 1 ? x : tf.math.mul(x, tf.constant((float) factor));
  }

  /** {@code share·old + (1 − share)·added}. */
  private Operand<TFloat32> mean(double share, Operand<TFloat32> old, Operand<TFloat32> added) {
    return tf.math.add(scaled(old, share), scaled(added, 1 - share));
  }

  /** {@code x ← x − rate·direction − rate·decay·x}, with x as it was. */
  private Op descend(Operand<TFloat32> rate, Operand<TFloat32> direction) {
    Operand<TFloat32> change = tf.math.mul(rate, direction);
    if (decay > 0) {
      Operand<TFloat32> share = scaled(rate(), decay);
      change = tf.math.add(change, tf.math.mul(share, variable.<TFloat32>read(tf)));
    }
    return tf.assignSubVariableOp(variable.handle(), change);
  }

  /** Adam by TensorFlow's kernel, which reads and writes each slot once; of any floating type. */
  private <T extends TType> Op adam(Optimizer.AdamW config, Class<T> type) {
    Variable m = slot("m", variable.shape());
    Variable v = slot("v", variable.shape());
    // The kernel sees the betas as float32; the powers must be of the same numbers.
    float beta1 = (float) config.beta1();
    float beta2 = (float) config.beta2();
    var one = tf.constant(1.0);
    var first = tf.math.sub(one, tf.math.pow(tf.constant((double) beta1), shared.step));
    var second = tf.math.sub(one, tf.math.pow(tf.constant((double) beta2), shared.step));
    var root = tf.math.sqrt(second);
    // With the corrections folded in, the kernel gives the textbook's step.
    var rate = tf.math.div(tf.math.mul(shared.rate, root), first);
    var epsilon = tf.math.mul(tf.constant(config.epsilon()), root);
    Ops after = tf;
    if (decay > 0) {
      var share = tf.dtypes.cast(tf.math.mul(shared.rate, tf.constant(decay)), type);
      var lost = tf.math.mul(variable.<T>read(tf), share);
      Op decayed = tf.assignSubVariableOp(variable.handle(), lost);
      after = tf.withControlDependencies(List.of(decayed));
    }
    var none = tf.dtypes.cast(tf.constant(0f), type);
    return after.train.resourceApplyAdam(
        variable.handle(),
        m.handle(),
        v.handle(),
        none,
        none,
        tf.dtypes.cast(rate, type),
        tf.dtypes.cast(tf.constant(beta1), type),
        tf.dtypes.cast(tf.constant(beta2), type),
        tf.dtypes.cast(epsilon, type),
        tf.dtypes.cast(gradient, type));
  }

  private Op sgd(Optimizer.Sgd config) {
    Operand<TFloat32> rate = rate();
    if (config.momentum() == 0) {
      return descend(rate, gradient);
    }
    Variable v = slot("v", variable.shape());
    var velocity = tf.math.add(scaled(v.<TFloat32>read(tf), config.momentum()), gradient);
    Op kept = Variables.assign(tf, v, velocity);
    Operand<TFloat32> ahead =
        config.nesterov() ? tf.math.add(gradient, scaled(velocity, config.momentum())) : velocity;
    return tf.withControlDependencies(List.of(kept, descend(rate, ahead))).noOp();
  }

  private Op lion(Optimizer.Lion config) {
    Variable m = slot("m", variable.shape());
    Operand<TFloat32> old = m.read(tf);
    Operand<TFloat32> direction = tf.math.sign(mean(config.beta1(), old, gradient));
    Op kept = Variables.assign(tf, m, mean(config.beta2(), old, gradient));
    return tf.withControlDependencies(List.of(kept, descend(rate(), direction))).noOp();
  }

  /** Adafactor, algorithms 4 (matrices) and 5 (vectors) with the refinements of algorithm 6. */
  private Op adafactor(Optimizer.Adafactor config) {
    Operand<TFloat64> exponent = tf.constant(-config.decayExponent());
    var fresh = single(tf.math.pow(shared.step, exponent)); // 1 − β₂, which is 1 at the first step
    Moments moments = new Moments(fresh, new ArrayList<>());
    var least = tf.constant((float) config.epsilon1());
    var squares = tf.math.add(tf.math.square(gradient), least);
    int[] sides = sides(variable.shape());
    boolean factored = Math.min(sides[0], sides[1]) >= Math.max(2, config.smallestFactored());
    Operand<TFloat32> inverseRoot =
        factored
            ? inverseRoot(moments, squares, sides)
            : tf.math.rsqrt(moved(moments, "v", variable.shape(), squares));
    Operand<TFloat32> direction = tf.math.mul(gradient, inverseRoot);
    var length = scaled(rms(direction), 1 / config.clipThreshold());
    direction = tf.math.div(direction, tf.math.maximum(tf.constant(1f), length));
    if (config.beta1() > 0) {
      Variable m = slot("m", variable.shape());
      direction = mean(config.beta1(), m.read(tf), direction);
      moments.kept.add(Variables.assign(tf, m, direction));
    }
    Operand<TFloat32> rate = rate();
    if (config.relative()) {
      Operand<TFloat32> size = rms(variable.read(tf));
      rate = tf.math.mul(rate, tf.math.maximum(tf.constant((float) config.epsilon2()), size));
    }
    moments.kept.add(descend(rate, direction));
    return tf.withControlDependencies(moments.kept).noOp();
  }

  /** How Adafactor's moments move, and what has to run with the update. */
  private record Moments(Operand<TFloat32> fresh, List<Op> kept) {}

  /** A moment after this step, {@code (1 − fresh)·old + fresh·added}. */
  private Operand<TFloat32> moved(
      Moments moments, String kind, Shape shape, Operand<TFloat32> added) {
    Variable slot = slot(kind, shape);
    Operand<TFloat32> old = slot.read(tf);
    var result = tf.math.add(old, tf.math.mul(moments.fresh, tf.math.sub(added, old)));
    moments.kept.add(Variables.assign(tf, slot, result));
    return result;
  }

  /** One over the root of R·C / ΣR, in the shape of the variable. */
  private Operand<TFloat32> inverseRoot(Moments moments, Operand<TFloat32> squares, int[] sides) {
    Operand<TFloat32> matrix = tf.reshape(squares, tf.constant(sides)); // [n, m]
    var ofRows = tf.reduceSum(matrix, tf.constant(1), ReduceSum.keepDims(true)); // [n, 1]
    var rows = moved(moments, "rows", Shape.of(sides[0], 1), ofRows);
    var ofColumns = tf.reduceSum(matrix, tf.constant(0), ReduceSum.keepDims(true)); // [1, m]
    var columns = moved(moments, "columns", Shape.of(1, sides[1]), ofColumns);
    Operand<TFloat32> total = tf.reduceSum(rows, tf.constant(new int[] {0, 1}));
    // Root by root: the product of two sums of tiny squares would vanish.
    var inverse = tf.math.mul(tf.math.rsqrt(tf.math.div(rows, total)), tf.math.rsqrt(columns));
    return tf.reshape(inverse, tf.constant(variable.shape())); // from [n, m]
  }

  private Operand<TFloat32> rms(Operand<TFloat32> x) {
    Operand<TFloat32> flat = tf.reshape(x, tf.constant(new int[] {-1}));
    return tf.math.sqrt(tf.math.mean(tf.math.square(flat), tf.constant(0)));
  }

  /** Rows and columns of a tensor seen as a matrix; a vector has one row. */
  private static int[] sides(Shape shape) {
    int size = Math.toIntExact(shape.size());
    int[] best = {1, size};
    int rows = 1;
    for (int i = 0; i < shape.numDimensions() - 1; i++) {
      rows *= Math.toIntExact(shape.get(i));
      int columns = size / Math.max(1, rows);
      if (Math.min(rows, columns) > Math.min(best[0], best[1])) {
        best = new int[] {rows, columns};
      }
    }
    return best;
  }
}
