package dev.performer.attention;

import dev.performer.attention.SharedDenominator.Part;
import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.math.Cumsum;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Keys that all queries see exactly.
 *
 * @param keys {@code [B, H, N, D]}, zeros for those that are missing
 * @param values {@code [v | 1]}, {@code [B, H, N, V+1]}, zeros for those that are missing
 * @param places the first position that sees each, {@code [B, N]}
 */
record Sinks<T extends TFloating>(Operand<T> keys, Operand<T> values, Operand<T> places) {
  /**
   * Which key is which sink, {@code [B|1, N, S]}, 1 or 0, each key once.
   *
   * @param sinks as of {@link FavorConfig#sinks}
   * @param counted {@code [B|1, S]}, 1 where a key counts
   * @param before how many counted before these, {@code [B, 1]}, or null for none
   */
  static <T extends TFloating> Operand<T> chosen(
      Algebra<T> a, List<Integer> sinks, Operand<T> counted, Operand<T> before) {
    Ops tf = a.tf();
    Operand<T> ranks = a.plus(tf.math.cumsum(counted, tf.constant(1)), -1); // [B, S]
    ranks = before == null ? ranks : tf.math.add(ranks, before);
    Operand<T> fromEnd = tf.math.sub(ranks, a.sum(counted, 1));
    Operand<T> wanted = a.cast(tf.constant(sinks.stream().mapToInt(n -> n).toArray())); // [N]
    Operand<T> column = tf.expandDims(wanted, tf.constant(1)); // [N, 1]
    var isFromEnd = tf.math.less(column, a.constant(0));
    var row = tf.constant(1);
    Operand<T> rank = tf.select(isFromEnd, tf.expandDims(fromEnd, row), tf.expandDims(ranks, row));
    Operand<T> equal = a.where(tf.math.equal(rank, column), 1, 0); // [B, N, S]
    Operand<T> all = tf.math.mul(equal, tf.expandDims(counted, row));
    Operand<T> earlier = tf.math.cumsum(all, row, Cumsum.exclusive(true));
    return tf.math.mul(all, tf.math.sub(a.constant(1), tf.math.minimum(earlier, a.constant(1))));
  }

  /** 1 where a key is no sink, {@code [B|1, S]}. */
  static <T extends TFloating> Operand<T> others(Algebra<T> a, Operand<T> chosen) {
    Operand<T> any = a.tf().sum(chosen, a.tf().array(1));
    return a.tf().math.sub(a.constant(1), any);
  }

  /** Of keys and {@code [v | 1]} of all positions. */
  static <T extends TFloating> Sinks<T> of(
      Algebra<T> a, Operand<T> chosen, Operand<T> keys, Operand<T> values) {
    Ops tf = a.tf();
    Operand<T> each = tf.expandDims(chosen, tf.constant(1)); // [B|1, 1, N, S]
    Operand<T> positions = a.cast(positions(tf, keys)); // [S]
    Operand<T> places = tf.sum(tf.math.mul(chosen, positions), tf.array(2)); // [B|1, N]
    return new Sinks<>(a.matMul(each, keys), a.matMul(each, values), places);
  }

  /** 0, 1, 2, … of the positions of {@code [B, H, S, D]}. */
  static Operand<TInt32> positions(Ops tf, Operand<?> x) {
    return tf.range(tf.constant(0), tf.squeeze(LinearAttention.length(tf, x)), tf.constant(1));
  }

  /** Their exact weights for queries {@code [B, H, L, D]}. */
  Part<T> part(Algebra<T> a, Operand<T> queries, boolean causal) {
    Ops tf = a.tf();
    double scale = 1 / Math.sqrt(Algebra.size(queries, -1, "the head size"));
    Operand<T> scores = a.matMulTransposed(a.times(queries, scale), keys); // [B, H, L, N]
    int last = (int) Algebra.size(values, 3, "the value size") - 1;
    Operand<T> real = tf.slice(values, tf.array(0, 0, 0, last), tf.array(-1, -1, -1, 1));
    Operand<T> allowed = tf.linalg.transpose(real, tf.array(0, 1, 3, 2)); // [B, H, 1, N]
    if (causal) {
      Operand<T> column = tf.expandDims(a.cast(positions(tf, queries)), tf.constant(1)); // [L, 1]
      Operand<T> from = tf.expandDims(tf.expandDims(places, tf.constant(1)), tf.constant(1));
      allowed = tf.math.mul(allowed, a.where(tf.math.greaterEqual(column, from), 1, 0));
    }
    Operand<T> missing = tf.math.sub(a.constant(1), allowed);
    Operand<T> bounded = tf.math.add(scores, a.times(missing, BandedAttention.PADDED));
    return Part.exact(a, bounded, allowed, values);
  }
}
