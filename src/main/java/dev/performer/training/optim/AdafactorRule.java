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
 *
 * @param fresh 1 − β₂, which is 1 at the first step
 * @param kept what has to run with the update
 */
record AdafactorRule(UpdateRule rule, Operand<TFloat32> fresh, List<Op> kept) {

  static Op update(UpdateRule rule, Optimizer.Adafactor config) {
    Ops tf = rule.tf();
    Variable variable = rule.variable();
    Operand<TFloat64> exponent = tf.constant(-config.decayExponent());
    var fresh = rule.single(tf.math.pow(rule.shared().step(), exponent));
    var moments = new AdafactorRule(rule, fresh, new ArrayList<>());
    List<Op> kept = moments.kept;
    var least = tf.constant((float) config.epsilon1());
    var squares = tf.math.add(tf.math.square(rule.gradient()), least);
    int[] sides = sides(variable.shape());
    boolean factored = Math.min(sides[0], sides[1]) >= Math.max(2, config.smallestFactored());
    Operand<TFloat32> inverseRoot =
        factored
            ? moments.factored(squares, sides)
            : tf.math.rsqrt(moments.moved("v", variable.shape(), squares));
    Operand<TFloat32> direction = tf.math.mul(rule.gradient(), inverseRoot);
    var length = rule.scaled(rms(tf, direction), 1 / config.clipThreshold());
    direction = tf.math.div(direction, tf.math.maximum(tf.constant(1f), length));
    if (config.beta1() > 0) {
      Variable m = rule.slot("m", variable.shape());
      direction = rule.mean(config.beta1(), m.read(tf), direction);
      kept.add(Variables.assign(tf, m, direction));
    }
    Operand<TFloat32> rate = rule.rate();
    if (config.relative()) {
      Operand<TFloat32> size = rms(tf, variable.read(tf));
      rate = tf.math.mul(rate, tf.math.maximum(tf.constant((float) config.epsilon2()), size));
    }
    kept.add(rule.descend(rate, direction));
    return tf.withControlDependencies(kept).noOp();
  }

  /** One over the root of R·C / ΣR, in the shape of the variable. */
  private Operand<TFloat32> factored(Operand<TFloat32> squares, int[] sides) {
    Ops tf = rule.tf();
    Operand<TFloat32> matrix = tf.reshape(squares, tf.constant(sides)); // [n, m]
    var ofRows = tf.reduceSum(matrix, tf.constant(1), ReduceSum.keepDims(true)); // [n, 1]
    var rows = moved("rows", Shape.of(sides[0], 1), ofRows);
    var ofColumns = tf.reduceSum(matrix, tf.constant(0), ReduceSum.keepDims(true)); // [1, m]
    var columns = moved("columns", Shape.of(1, sides[1]), ofColumns);
    Operand<TFloat32> total = tf.reduceSum(rows, tf.constant(new int[] {0, 1}));
    // Root by root: the product of two sums of tiny squares would vanish.
    var inverse = tf.math.mul(tf.math.rsqrt(tf.math.div(rows, total)), tf.math.rsqrt(columns));
    return tf.reshape(inverse, tf.constant(rule.variable().shape())); // from [n, m]
  }

  /** A moment after this step, {@code (1 − fresh)·old + fresh·added}. */
  private Operand<TFloat32> moved(String kind, Shape shape, Operand<TFloat32> added) {
    Ops tf = rule.tf();
    Variable slot = rule.slot(kind, shape);
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
