package dev.performer.savedmodel;

import dev.performer.graph.Algebra;
import java.util.List;
import java.util.Set;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gather;
import org.tensorflow.op.core.ReduceMax;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TNumber;

/**
 * Chooses tokens from logits inside a graph as {@code serving.Sampling} does outside, from the same
 * random numbers: those of Java's SplittableRandom, which are a function of seed, row and the
 * number of the draw.
 *
 * @param temperature divides logits, {@code [B]}; 0 or less takes the most likely token
 * @param topK only the k most likely tokens, {@code [B]}; 0 or less for all
 * @param topP only the most likely tokens whose probabilities sum to p, {@code [B]}; 1 for all
 * @param random {@code [B]}, which each row's random numbers come from
 */
record TokenChoice(
    Operand<TFloat32> temperature,
    Operand<TInt32> topK,
    Operand<TFloat32> topP,
    Operand<TInt64> random) {
  private static final long GAMMA = 0x9e3779b97f4a7c15L;

  /** The token of each row, and its log-probability as the model gives it, {@code [B]}. */
  record Chosen(Operand<TInt32> tokens, Operand<TFloat32> logProbabilities) {}

  /**
   * What random numbers come from, {@code [B]}: of one seed for all, with the numbers of the rows;
   * of a seed each, {@code [B]} and more than one, what a row that is alone has.
   */
  static Operand<TInt64> random(Ops tf, Operand<TInt64> seeds, Operand<TInt32> rows) {
    var flat = tf.reshape(seeds, tf.array(-1)); // [1] or [B]
    var count = tf.squeeze(rows);
    var isOne = tf.math.equal(tf.size(seeds), tf.constant(1));
    var numbers = tf.range(tf.constant(0), count, tf.constant(1));
    var own = tf.dtypes.cast(numbers, TInt64.class);
    var row = tf.select(isOne, own, tf.zerosLike(own)); // [B]
    var second = tf.bitwise.invert(row);
    return tf.bitwise.bitwiseXor(tf.broadcastTo(next(tf, flat), rows), next(tf, second));
  }

  /** The first number behind a state. */
  private static Operand<TInt64> next(Ops tf, Operand<TInt64> state) {
    return mixed(tf, tf.math.add(state, tf.constant(GAMMA)));
  }

  /** David Stafford's variant 13 of the finalizer of MurmurHash3. */
  private static Operand<TInt64> mixed(Ops tf, Operand<TInt64> x) {
    var first = tf.math.mul(folded(tf, x, 30), tf.constant(0xbf58476d1ce4e5b9L));
    var second = tf.math.mul(folded(tf, first, 27), tf.constant(0x94d049bb133111ebL));
    return folded(tf, second, 31);
  }

  private static Operand<TInt64> folded(Ops tf, Operand<TInt64> x, int bits) {
    return tf.bitwise.bitwiseXor(x, shifted(tf, x, bits));
  }

  /** {@code x >>> bits}. */
  private static Operand<TInt64> shifted(Ops tf, Operand<TInt64> x, int bits) {
    var filled = tf.bitwise.rightShift(x, tf.constant((long) bits));
    return tf.bitwise.bitwiseAnd(filled, tf.constant(-1L >>> bits));
  }

  /** A number from 0 to 1, without 1, of each row: its draw of that number, counted from 1. */
  private Operand<TFloat64> uniform(Ops tf, Operand<TInt32> draw) {
    var step = tf.math.mul(tf.dtypes.cast(draw, TInt64.class), tf.constant(GAMMA));
    var bits = shifted(tf, mixed(tf, tf.math.add(random, step)), 11);
    return tf.math.mul(tf.dtypes.cast(bits, TFloat64.class), tf.constant(0x1.0p-53));
  }

  /**
   * Chooses.
   *
   * @param logits {@code [B, V]}
   * @param forbidden tokens that never come
   * @param draw how many tokens of each row this makes, a scalar
   */
  Chosen choose(Ops tf, Operand<TFloat32> logits, Set<Integer> forbidden, Operand<TInt32> draw) {
    int size = (int) Algebra.size(logits, 1, "the size of the vocabulary");
    Operand<TFloat32> scores = logits;
    if (!forbidden.isEmpty()) {
      boolean[] never = new boolean[size];
      forbidden.forEach(id -> never[id] = true);
      scores = tf.select(tf.constant(never), tf.constant(Float.NEGATIVE_INFINITY), logits);
    }
    var isGreedy = tf.math.lessEqual(temperature, tf.constant(0f));
    var isLimited = tf.math.greater(topK, tf.constant(0));
    var all = tf.constant(size);
    var own = tf.select(isLimited, tf.math.minimum(topK, all), all);
    var count = tf.select(isGreedy, tf.constant(1), own); // [B]
    var most = tf.math.maximum(tf.constant(1), tf.reduceMax(count, tf.array(0), noOptions()));
    var likeliest = tf.nn.topK(scores, most, TInt32.class); // [B, K], lower ids first among equals
    Operand<TInt32> place = place(tf, likeliest.values(), count, draw);
    var column = tf.expandDims(place, tf.constant(1)); // [B, 1]
    Operand<TInt32> tokens =
        flat(tf, tf.gather(likeliest.indices(), column, tf.constant(1), each()));
    var largest = tf.reduceMax(logits, tf.array(1), ReduceMax.keepDims(true)); // [B, 1]
    var centred = tf.math.sub(logits, largest);
    var total = tf.math.log(tf.reduceSum(tf.math.exp(centred), tf.array(1))); // [B]
    var chosen = tf.gather(centred, tf.expandDims(tokens, tf.constant(1)), tf.constant(1), each());
    return new Chosen(tokens, tf.math.sub(flat(tf, chosen), total));
  }

  /** Where the choice stands among the likeliest, {@code [B]}. */
  private Operand<TInt32> place(
      Ops tf, Operand<TFloat32> values, Operand<TInt32> count, Operand<TInt32> draw) {
    var column = tf.constant(1);
    var wide = tf.dtypes.cast(values, TFloat64.class); // [B, K]
    var first = tf.slice(wide, tf.array(0, 0), tf.array(-1, 1)); // [B, 1]
    var heat = tf.expandDims(tf.dtypes.cast(temperature, TFloat64.class), column);
    // Equal ones are no difference of infinities.
    var isFirst = tf.math.equal(wide, first);
    var weight = tf.math.exp(tf.math.div(tf.math.sub(wide, first), heat));
    var places = tf.range(tf.constant(0), tf.squeeze(Algebra.sizes(tf, values, 1, 2)), column);
    var isKept = tf.math.less(places, tf.expandDims(count, column)); // [B, K]
    var weights = tf.select(isKept, tf.select(isFirst, tf.constant(1.0), weight), tf.constant(0.0));
    var sums = tf.math.cumsum(weights, tf.constant(1)); // [B, K]
    var sum = tf.reduceMax(sums, tf.array(1), ReduceMax.keepDims(true));
    var share = tf.expandDims(tf.dtypes.cast(topP, TFloat64.class), column);
    var isEnough = tf.math.greaterEqual(sums, tf.math.mul(share, sum));
    var kept = tf.reduceMin(tf.select(isEnough, sums, sum), tf.array(1)); // [B]
    var point = tf.expandDims(tf.math.mul(uniform(tf, draw), kept), column);
    Operand<TBool> isBefore = tf.math.lessEqual(sums, point);
    var place = tf.reduceSum(tf.dtypes.cast(isBefore, TInt32.class), tf.array(1));
    return tf.math.minimum(place, tf.math.sub(count, column));
  }

  private static <T extends TNumber> Operand<T> flat(Ops tf, Operand<T> column) {
    return tf.squeeze(column, Squeeze.axis(List.of(1L)));
  }

  private static Gather.Options each() {
    return Gather.batchDims(1L);
  }

  private static ReduceMax.Options[] noOptions() {
    return new ReduceMax.Options[0];
  }
}
