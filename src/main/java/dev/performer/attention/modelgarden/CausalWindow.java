package dev.performer.attention.modelgarden;

import static dev.performer.attention.LinearAttention.length;

import dev.performer.PerformerException;
import dev.performer.attention.LinearAttention;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.modelgarden.KernelAttentionConfig.CausalWindowed;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Padding;
import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Model Garden's {@code causal_windowed_performer_attention}: chunks see themselves and a window of
 * chunks before them. T is the length, G the number of chunks, C their length.
 */
record CausalWindow(CausalWindowed setting, Denominator denominator) {
  /**
   * Attends with features {@code [B, H, T, R]} to values {@code [B, H, T, V]}.
   *
   * @throws PerformerException if nothing is padded and T is known to be no multiple of C
   */
  <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values) {
    Algebra<T> a = Algebra.of(tf, queries);
    Operand<T> withOnes = a.concat(3, List.of(values, a.onesColumn(values))); // [B, H, T, V+1]
    Operand<T> ks = chunks(tf, keys); // [B, H, G, C, R]
    Operand<T> vs = chunks(tf, withOnes); // [B, H, G, C, V+1]
    // TensorFlow's own order of summation: denominators of signed features can be near 0.
    Operand<T> perChunk = tf.train.batchMatMul(vs, ks, a.type(), BatchMatMul.adjX(true));
    Operand<T> state = windowSum(a, perChunk); // [B, H, G, V+1, R]
    var qs = chunks(tf, queries); // [B, H, G, C, R]
    Operand<T> sums = // [B, H, G, C, V+1]
        tf.train.batchMatMul(qs, state, a.type(), BatchMatMul.adjY(true));
    Operand<T> out = LinearAttention.divided(tf, sums, denominator); // [B, H, G, C, V]
    Operand<T> joined = tf.reshape(out, shape(tf, values, -1)); // [B, H, G*C, V]
    return first(tf, joined, length(tf, values)); // [B, H, T, V]
  }

  /** {@code [B, H, T, X]} to {@code [B, H, G, C, X]}. */
  private <T extends TFloating> Operand<T> chunks(Ops tf, Operand<T> x) {
    return tf.reshape(padded(tf, x), shape(tf, x, -1, setting.chunk()));
  }

  private <T extends TFloating> Operand<T> padded(Ops tf, Operand<T> x) {
    long known = x.shape().get(2);
    int missing = (int) Math.floorMod(-known, (long) setting.chunk());
    if (known >= 0 && missing == 0) {
      return x;
    }
    if (setting.padding() == Padding.NONE) {
      String message =
          "causal windows need a length that is a multiple of the chunk length %d, not %d; set causal_padding to right";
      PerformerException.require(known < 0, message, setting.chunk(), known);
      return x;
    }
    Operand<TInt32> zero = tf.array(0);
    Operand<TInt32> fill =
        known >= 0
            ? tf.array(missing)
            : tf.math.floorMod(tf.math.neg(length(tf, x)), tf.constant(setting.chunk()));
    return setting.padding() == Padding.LEFT ? pad(tf, x, fill, zero) : pad(tf, x, zero, fill);
  }

  /** Sums over the last W chunks, each chunk back weighted by another factor of the decay. */
  private <T extends TFloating> Operand<T> windowSum(Algebra<T> a, Operand<T> perChunk) {
    double decay = setting.decay().orElse(1);
    // A window of a+b chunks is one of a chunks and, a chunks further back, one of b.
    Operand<T> sum = null;
    Operand<T> power = perChunk;
    int covered = 0;
    for (int size = 1, left = setting.window(); left > 0; left >>= 1, size *= 2) {
      if ((left & 1) == 1) {
        sum = covered == 0 ? power : plusEarlier(a, sum, power, covered, decay);
        covered += size;
      }
      if (left > 1) {
        power = plusEarlier(a, power, power, size, decay);
      }
    }
    return sum;
  }

  private static <T extends TFloating> Operand<T> plusEarlier(
      Algebra<T> a, Operand<T> sum, Operand<T> term, int back, double decay) {
    Ops tf = a.tf();
    long known = term.shape().get(2);
    if (known >= 0 && back >= known) {
      return sum;
    }
    Operand<T> padded = pad(tf, term, tf.array(back), tf.array(0));
    Operand<T> shifted = first(tf, padded, length(tf, term));
    return tf.math.add(sum, a.times(shifted, Math.pow(decay, back)));
  }

  /** Zeros before and behind on axis 2. */
  private static <T extends TFloating> Operand<T> pad(
      Ops tf, Operand<T> x, Operand<TInt32> before, Operand<TInt32> behind) {
    int rank = x.shape().numDimensions();
    Operand<TInt32> after = tf.constant(new int[2 * (rank - 3)]);
    var flat = tf.concat(List.of(tf.array(0, 0, 0, 0), before, behind, after), tf.constant(0));
    Operand<TInt32> paddings = tf.reshape(flat, tf.array(rank, 2));
    return tf.pad(x, paddings, Algebra.of(tf, x).constant(0));
  }

  /** The first {@code count} entries of axis 2. */
  private static <T extends TFloating> Operand<T> first(
      Ops tf, Operand<T> x, Operand<TInt32> count) {
    int rank = x.shape().numDimensions();
    var sizes = List.of(Algebra.sizes(tf, x, 0, 2), count, Algebra.sizes(tf, x, 3, rank));
    return tf.slice(x, tf.constant(new int[rank]), tf.concat(sizes, tf.constant(0)));
  }

  /** The shape of {@code like}, {@code [B, H, T, X]}, with other sizes in place of T. */
  private static Operand<TInt32> shape(Ops tf, Operand<?> like, int... middle) {
    var outer = Algebra.sizes(tf, like, 0, 2);
    var sizes = List.of(outer, tf.constant(middle), Algebra.sizes(tf, like, 3, 4));
    return tf.concat(sizes, tf.constant(0));
  }
}
