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

/** The ops by which one variable follows its gradient: one class per optimizer. */
interface UpdateRule {

  /**
   * What all variables share.
   *
   * @param tf adds ops that run after every weight was read
   * @param free adds ops that need not
   * @param slots where the optimizer's own variables are created
   * @param scope how names of slots begin
   * @param step t, from 1
   * @param rate learning rate
   */
  record Shared(
      Ops tf,
      Ops free,
      Variables slots,
      String scope,
      Operand<TFloat64> step,
      Operand<TFloat64> rate) {

    /** A slot of zeros, of the variable's type. */
    Variable slot(String kind, Variable variable, Shape shape) {
      var zero = free.dtypes.cast(free.constant(0f), variable.type());
      var zeros = free.fill(free.constant(shape), zero);
      return slots.create(scope + "/" + kind + "/" + variable.name(), shape, false, zeros);
    }

    Operand<TFloat32> single(Operand<TFloat64> x) {
      return tf.dtypes.cast(x, TFloat32.class);
    }

    Operand<TFloat32> scaled(Operand<TFloat32> x, double factor) {
      return factor == 1 ? x : tf.math.mul(x, tf.constant((float) factor));
    }

    /** {@code decay·old + (1 − decay)·added}. */
    Operand<TFloat32> mean(double decay, Operand<TFloat32> old, Operand<TFloat32> added) {
      return tf.math.add(scaled(old, decay), scaled(added, 1 - decay));
    }
  }

  /**
   * Adds the update.
   *
   * @param gradient already clipped, in the shape of the variable
   * @param decay weight decay of this variable
   */
  Op update(Shared shared, Variable variable, Operand<TFloat32> gradient, double decay);

  /** The rule of an optimizer. */
  static UpdateRule of(Optimizer optimizer) {
    if (optimizer instanceof Optimizer.AdamW adam) {
      return new AdamRule(adam);
    } else if (optimizer instanceof Optimizer.Adafactor adafactor) {
      return new AdafactorRule(adafactor);
    } else if (optimizer instanceof Optimizer.Sgd sgd) {
      return new SgdRule(sgd);
    }
    return new LionRule((Optimizer.Lion) optimizer);
  }

  /** {@code x ← x − rate·direction − rate·decay·x}, with x as it was. */
  static Op descend(
      Shared shared,
      Variable variable,
      Operand<TFloat32> rate,
      Operand<TFloat32> direction,
      double decay) {
    Ops tf = shared.tf();
    Operand<TFloat32> change = tf.math.mul(rate, direction);
    if (decay > 0) {
      Operand<TFloat32> share = shared.scaled(shared.single(shared.rate()), decay);
      change = tf.math.add(change, tf.math.mul(share, variable.<TFloat32>read(tf)));
    }
    return tf.assignSubVariableOp(variable.handle(), change);
  }

  /** Adam by TensorFlow's kernel, which reads and writes each slot once; of any floating type. */
  record AdamRule(Optimizer.AdamW config) implements UpdateRule {
    @Override
    public Op update(Shared shared, Variable variable, Operand<TFloat32> gradient, double decay) {
      return update(shared, variable, gradient, decay, variable.type());
    }

    private <T extends TType> Op update(
        Shared shared, Variable variable, Operand<TFloat32> gradient, double decay, Class<T> type) {
      Ops tf = shared.tf();
      Variable m = shared.slot("m", variable, variable.shape());
      Variable v = shared.slot("v", variable, variable.shape());
      // The kernel sees the betas as float32; the powers must be of the same numbers.
      float beta1 = (float) config.beta1();
      float beta2 = (float) config.beta2();
      var one = tf.constant(1.0);
      var first = tf.math.sub(one, tf.math.pow(tf.constant((double) beta1), shared.step()));
      var second = tf.math.sub(one, tf.math.pow(tf.constant((double) beta2), shared.step()));
      var root = tf.math.sqrt(second);
      // With the corrections folded in, the kernel gives the textbook's step.
      var rate = tf.math.div(tf.math.mul(shared.rate(), root), first);
      var epsilon = tf.math.mul(tf.constant(config.epsilon()), root);
      Ops after = tf;
      if (decay > 0) {
        var share = tf.dtypes.cast(tf.math.mul(shared.rate(), tf.constant(decay)), type);
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
  }

  /** Gradient descent with momentum. */
  record SgdRule(Optimizer.Sgd config) implements UpdateRule {
    @Override
    public Op update(Shared shared, Variable variable, Operand<TFloat32> gradient, double decay) {
      Ops tf = shared.tf();
      Operand<TFloat32> rate = shared.single(shared.rate());
      if (config.momentum() == 0) {
        return descend(shared, variable, rate, gradient, decay);
      }
      Variable v = shared.slot("v", variable, variable.shape());
      Operand<TFloat32> velocity =
          tf.math.add(shared.scaled(v.<TFloat32>read(tf), config.momentum()), gradient);
      Op kept = Variables.assign(tf, v, velocity);
      Operand<TFloat32> ahead = velocity;
      if (config.nesterov()) {
        ahead = tf.math.add(gradient, shared.scaled(velocity, config.momentum()));
      }
      Op moved = descend(shared, variable, rate, ahead, decay);
      return tf.withControlDependencies(List.of(kept, moved)).noOp();
    }
  }

  /** Lion. */
  record LionRule(Optimizer.Lion config) implements UpdateRule {
    @Override
    public Op update(Shared shared, Variable variable, Operand<TFloat32> gradient, double decay) {
      Ops tf = shared.tf();
      Variable m = shared.slot("m", variable, variable.shape());
      Operand<TFloat32> old = m.read(tf);
      Operand<TFloat32> direction = tf.math.sign(shared.mean(config.beta1(), old, gradient));
      Op kept = Variables.assign(tf, m, shared.mean(config.beta2(), old, gradient));
      Op moved = descend(shared, variable, shared.single(shared.rate()), direction, decay);
      return tf.withControlDependencies(List.of(kept, moved)).noOp();
    }
  }
}
