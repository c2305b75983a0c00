package dev.performer.training.optim;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TType;

/**
 * The ops by which one variable follows its gradient: one method per optimizer.
 *
 * @param tf adds ops that run after every weight was read
 * @param shared by all variables
 * @param gradient already clipped, in the shape of the variable
 * @param decay weight decay of this variable
 */
record UpdateRule(
    Ops tf, Shared shared, Variable variable, Operand<TFloat32> gradient, double decay) {

  /**
   * What all variables share.
   *
   * @param free adds ops that need not run after every weight was read
   * @param scope how names of slots begin, the optimizer's own variables
   * @param step t, from 1
   */
  record Shared(
      Ops free, Variables slots, String scope, Operand<TFloat64> step, Operand<TFloat64> rate) {}

  Op of(Optimizer optimizer) {
    if (optimizer instanceof Optimizer.AdamW adam) {
      return adam(adam, variable.type());
    } else if (optimizer instanceof Optimizer.Adafactor adafactor) {
      return AdafactorRule.update(this, adafactor);
    } else if (optimizer instanceof Optimizer.Sgd sgd) {
      return sgd(sgd);
    }
    return lion((Optimizer.Lion) optimizer);
  }

  /** A slot of zeros, of the variable's type. */
  Variable slot(String kind, Shape shape) {
    Ops free = shared.free;
    var zero = free.dtypes.cast(free.constant(0f), variable.type());
    String name = shared.scope + "/" + kind + "/" + variable.name();
    return shared.slots.create(name, shape, false, free.fill(free.constant(shape), zero));
  }

  Operand<TFloat32> rate() {
    return single(shared.rate);
  }

  Operand<TFloat32> single(Operand<TFloat64> x) {
    return tf.dtypes.cast(x, TFloat32.class);
  }

  Operand<TFloat32> scaled(Operand<TFloat32> x, double factor) {
    return factor == 1 ? x : tf.math.mul(x, tf.constant((float) factor));
  }

  /** {@code share·old + (1 − share)·added}. */
  Operand<TFloat32> mean(double share, Operand<TFloat32> old, Operand<TFloat32> added) {
    return tf.math.add(scaled(old, share), scaled(added, 1 - share));
  }

  /** {@code x ← x − rate·direction − rate·decay·x}, with x as it was. */
  Op descend(Operand<TFloat32> rate, Operand<TFloat32> direction) {
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
    Operand<TFloat32> ahead = velocity;
    if (config.nesterov()) {
      ahead = tf.math.add(gradient, scaled(velocity, config.momentum()));
    }
    return tf.withControlDependencies(List.of(kept, descend(rate, ahead))).noOp();
  }

  private Op lion(Optimizer.Lion config) {
    Variable m = slot("m", variable.shape());
    Operand<TFloat32> old = m.read(tf);
    Operand<TFloat32> direction = tf.math.sign(mean(config.beta1(), old, gradient));
    Op kept = Variables.assign(tf, m, mean(config.beta2(), old, gradient));
    return tf.withControlDependencies(List.of(kept, descend(rate(), direction))).noOp();
  }
}
