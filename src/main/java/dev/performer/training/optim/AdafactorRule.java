package dev.performer.training.optim;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * Adafactor, algorithms 4 (matrices) and 5 (vectors) with the update clipping, the relative step
 * sizes and the increasing decay of algorithm 6.
 */
record AdafactorRule(Optimizer.Adafactor config) implements UpdateRule {

  @Override
  public Op update(Shared shared, Variable variable, Operand<TFloat32> gradient, double decay) {
    Ops tf = shared.tf();
    List<Op> kept = new ArrayList<>();
    Operand<TFloat64> exponent = tf.constant(-config.decayExponent());
    var fresh = shared.single(tf.math.pow(shared.step(), exponent)); // 1 − β₂, 1 at the first step
    var squares = tf.math.add(tf.math.square(gradient), tf.constant((float) config.epsilon1()));
    int[] sides = sides(variable.shape());
    boolean factored = Math.min(sides[0], sides[1]) >= Math.max(2, config.smallestFactored());
    Operand<TFloat32> inverseRoot =
        factored
            ? factored(shared, variable, squares, sides, fresh, kept)
            : tf.math.rsqrt(moved(shared, "v", variable, variable.shape(), squares, fresh, kept));
    Operand<TFloat32> direction = tf.math.mul(gradient, inverseRoot);
    var length = shared.scaled(rms(tf, direction), 1 / config.clipThreshold());
    direction = tf.math.div(direction, tf.math.maximum(tf.constant(1f), length));
    if (config.beta1() > 0) {
      Variable m = shared.slot("m", variable, variable.shape());
      direction = shared.mean(config.beta1(), m.read(tf), direction);
      kept.add(Variables.assign(tf, m, direction));
    }
    Operand<TFloat32> rate = shared.single(shared.rate());
    if (config.relative()) {
      Operand<TFloat32> size = rms(tf, variable.read(tf));
      rate = tf.math.mul(rate, tf.math.maximum(tf.constant((float) config.epsilon2()), size));
    }
    kept.add(UpdateRule.descend(shared, variable, rate, direction, decay));
    return tf.withControlDependencies(kept).noOp();
  }

  /** One over the root of R·C / ΣR, in the shape of the variable. */
  private static Operand<TFloat32> factored(
      Shared shared,
      Variable variable,
      Operand<TFloat32> squares,
      int[] sides,
      Operand<TFloat32> fresh,
      List<Op> kept) {
    Ops tf = shared.tf();
    Operand<TFloat32> matrix = tf.reshape(squares, tf.constant(sides)); // [n, m]
    var ofRows = tf.reduceSum(matrix, tf.constant(1), ReduceSum.keepDims(true)); // [n, 1]
    var rows = moved(shared, "rows", variable, Shape.of(sides[0], 1), ofRows, fresh, kept);
    var ofColumns = tf.reduceSum(matrix, tf.constant(0), ReduceSum.keepDims(true)); // [1, m]
    var columns = moved(shared, "columns", variable, Shape.of(1, sides[1]), ofColumns, fresh, kept);
    Operand<TFloat32> total = tf.reduceSum(rows, tf.constant(new int[] {0, 1}));
    // Root by root: the product of two sums of tiny squares would vanish.
    var inverse = tf.math.mul(tf.math.rsqrt(tf.math.div(rows, total)), tf.math.rsqrt(columns));
    return tf.reshape(inverse, tf.constant(variable.shape())); // from [n, m]
  }

  /** A moment after this step, {@code (1 − fresh)·old + fresh·added}. */
  private static Operand<TFloat32> moved(
      Shared shared,
      String kind,
      Variable variable,
      Shape shape,
      Operand<TFloat32> added,
      Operand<TFloat32> fresh,
      List<Op> kept) {
    Ops tf = shared.tf();
    Variable slot = shared.slot(kind, variable, shape);
    Operand<TFloat32> old = slot.read(tf);
    Operand<TFloat32> result = tf.math.add(old, tf.math.mul(fresh, tf.math.sub(added, old)));
    kept.add(Variables.assign(tf, slot, result));
    return result;
  }

  private static Operand<TFloat32> rms(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> flat = tf.reshape(x, tf.constant(new int[] {-1}));
    return tf.math.sqrt(tf.math.mean(tf.math.square(flat), tf.constant(0)));
  }

  /** Rows and columns of a tensor seen as a matrix; a vector has one row. */
  static int[] sides(Shape shape) {
    int axes = shape.numDimensions();
    int size = Math.toIntExact(shape.size());
    int[] best = {1, size};
    int rows = 1;
    for (int i = 0; i < axes - 1; i++) {
      rows *= Math.toIntExact(shape.get(i));
      int columns = size / Math.max(1, rows);
      if (Math.min(rows, columns) > Math.min(best[0], best[1])) {
        best = new int[] {rows, columns};
      }
    }
    return best;
  }
}
