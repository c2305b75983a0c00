package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.op.math.Cumsum;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * How a length is cut into N chunks of C, and these into groups of chunks and groups of groups: in
 * the graph where the length is not known when it is built. Every size is a {@code [1]}.
 */
record Chunks(
    Ops tf,
    Operand<TInt32> length, // L
    Operand<TInt32> chunk, // C; never longer than L
    Groups inner, // of chunks
    Groups outer) { // of groups of chunks
  /** The sums of so many chunks are one product; of more, small groups are less work. */
  private static final int ONE_GROUP = 32;

  private static final int LARGEST_GROUP = 16;
  private static final int LARGEST_OUTER_GROUP = 64;

  /** What is known to be one group needs no sums of groups. */
  private record Groups(Operand<TInt32> count, Operand<TInt32> size, boolean isOne) {}

  /**
   * Of queries {@code [B, H, L, R]}.
   *
   * @param known L, or -1: it is given, as all sizes here, since a gradient by hand cannot look
   */
  static Chunks of(Ops tf, Operand<?> queries, int longest, long known) {
    if (known >= 0) {
      int c = (int) Math.max(1, Math.min(longest, known));
      int n = (int) Math.max(1, (known + c - 1) / c);
      int k = n <= ONE_GROUP ? 1 : roundedUp(n, LARGEST_GROUP);
      int outerCount = roundedUp(k, LARGEST_OUTER_GROUP);
      int outerSize = roundedUp(k, outerCount);
      k = outerCount * outerSize;
      Groups inner = new Groups(tf.array(k), tf.array(roundedUp(n, k)), k == 1);
      Groups outer = new Groups(tf.array(outerCount), tf.array(outerSize), outerCount == 1);
      return new Chunks(tf, tf.array((int) known), tf.array(c), inner, outer);
    }
    Operand<TInt32> length = Algebra.sizes(tf, queries, 2, 3);
    Operand<TInt32> one = tf.array(1);
    Operand<TInt32> chunk = tf.math.maximum(one, tf.math.minimum(tf.array(longest), length));
    Operand<TInt32> n = tf.math.maximum(one, roundedUp(tf, length, chunk));
    var isFew = tf.math.lessEqual(n, tf.array(ONE_GROUP));
    Operand<TInt32> few = tf.select(isFew, one, roundedUp(tf, n, tf.array(LARGEST_GROUP)));
    Operand<TInt32> outerCount = roundedUp(tf, few, tf.array(LARGEST_OUTER_GROUP));
    Operand<TInt32> outerSize = roundedUp(tf, few, outerCount);
    Operand<TInt32> k = tf.math.mul(outerCount, outerSize);
    Groups inner = new Groups(k, roundedUp(tf, n, k), false);
    return new Chunks(tf, length, chunk, inner, new Groups(outerCount, outerSize, false));
  }

  private static int roundedUp(int x, int by) {
    return (x + by - 1) / by;
  }

  private static Operand<TInt32> roundedUp(Ops tf, Operand<TInt32> x, Operand<TInt32> by) {
    return tf.math.floorDiv(tf.math.sub(tf.math.add(x, by), tf.array(1)), by);
  }

  /** N, a multiple of the number of groups. */
  private Operand<TInt32> count() {
    return tf.math.mul(inner.count, inner.size);
  }

  /**
   * The sum of all chunks before each, or behind it: in a group a product with a triangle of ones,
   * several times faster than a scan of such wide rows, and a scan over the few outer groups. Where
   * they decay, products with what is left of one at another, in all groups.
   *
   * @param states {@code [B, H, N, X · Y]}, all finite: 0 times infinity would reach the past
   * @param logs of the gates of each chunk, {@code [B, H, N]}; null for no decay
   * @return {@code [B, H, N, X, Y]}
   */
  <T extends TFloating> Operand<T> exclusiveSum(
      Operand<T> states, int x, int y, Operand<TFloat64> logs, boolean isBehind) {
    var each = List.of(count(), tf.array(x, y));
    return exclusiveSum(states, tf.array(x * y), inner, logs, isBehind, each);
  }

  /** In the sizes asked for behind {@code [B, H]}. */
  private <T extends TFloating> Operand<T> exclusiveSum(
      Operand<T> states,
      Operand<TInt32> width,
      Groups groups,
      Operand<TFloat64> logs,
      boolean isBehind,
      List<Operand<TInt32>> asked) {
    Algebra<T> a = Algebra.of(tf, states);
    Operand<TInt32> outermost = Algebra.sizes(tf, states, 0, 2);
    var inGroups = shape(List.of(outermost, groups.count, groups.size, width));
    Operand<T> grouped = tf.reshape(states, inGroups); // [B, H, K, G, X]
    Decay<T> decay = logs == null ? null : decay(a, logs, outermost, groups);
    Operand<T> sums = sums(a, grouped, groups, decay, isBehind); // [B, H, K, G, X]
    if (!groups.isOne) {
      Operand<T> all = whole(a, grouped, decay, isBehind); // [B, H, K, X]
      Operand<T> carried =
          groups == inner
              ? exclusiveSum(
                  all,
                  width,
                  outer,
                  decay == null ? null : decay.total(),
                  isBehind,
                  List.of(tf.array(-1), width))
              : acrossGroups(a, all, decay, isBehind);
      Operand<T> rows = tf.expandDims(carried, tf.constant(3)); // [B, H, K, 1, X]
      if (decay != null) {
        rows = tf.math.mul(rows, isBehind ? decay.toEnd() : decay.fromStart());
      }
      sums = tf.math.add(sums, rows);
    }
    var sizes = Stream.concat(Stream.of(outermost), asked.stream()).toList();
    return tf.reshape(sums, shape(sizes));
  }

  private <T extends TFloating> Decay<T> decay(
      Algebra<T> a, Operand<TFloat64> logs, Operand<TInt32> outermost, Groups groups) {
    var sizes = shape(List.of(outermost, groups.count, groups.size));
    return Decay.of(a, tf.reshape(logs, sizes), true);
  }

  /** Of the others of each group, before or behind. */
  private <T extends TFloating> Operand<T> sums(
      Algebra<T> a, Operand<T> grouped, Groups groups, Decay<T> decay, boolean isBehind) {
    if (decay != null) {
      Operand<T> others = Decay.lower(tf, decay.between(), true);
      return isBehind ? a.transposedProduct(others, grouped) : a.product(others, grouped);
    }
    Operand<T> ones = tf.fill(shape(List.of(groups.size, groups.size)), a.constant(1));
    long below = isBehind ? 0 : -1;
    // [G, G], 1 strictly below, or above, the diagonal
    Operand<T> others = tf.math.sub(band(ones, below, -1 - below), band(ones, 0, 0));
    return a.product(tf.stopGradient(others), grouped);
  }

  /** All of a group, {@code [B, H, K, X]}, where it ends, or begins. */
  private <T extends TFloating> Operand<T> whole(
      Algebra<T> a, Operand<T> grouped, Decay<T> decay, boolean isBehind) {
    if (decay == null) {
      return tf.sum(grouped, tf.array(3));
    }
    Operand<T> left = isBehind ? decay.fromStart() : decay.toEnd(); // [B, H, K, G, 1]
    return tf.squeeze(a.transposedProduct(left, grouped), Squeeze.axis(List.of(3L)));
  }

  /** The sum of all groups before each, or behind it, {@code [B, H, K, X]}. */
  private <T extends TFloating> Operand<T> acrossGroups(
      Algebra<T> a, Operand<T> all, Decay<T> decay, boolean isBehind) {
    return decay == null
        ? tf.math.cumsum(all, tf.constant(2), Cumsum.exclusive(true), Cumsum.reverse(isBehind))
        : sums(a, all, null, Decay.of(a, decay.total(), true), isBehind);
  }

  private <T extends TFloating> Operand<T> band(Operand<T> ones, long below, long above) {
    return tf.linalg.bandPart(ones, tf.constant(below), tf.constant(above));
  }

  /** {@code [B, H, N, X, Y]} as {@code [B, H, N, X · Y]}. */
  <T extends TFloating> Operand<T> rows(Operand<T> x, int width) {
    Operand<TInt32> outermost = Algebra.sizes(tf, x, 0, 2);
    return tf.reshape(x, shape(List.of(outermost, count(), tf.array(width))));
  }

  /**
   * Cuts or pads {@code [B, H, S, X]} to N·C positions, then {@code [B, H, N, C, X]}.
   *
   * @param isWhole whether S is known to be L
   */
  <T extends TFloating> Operand<T> split(Operand<T> x, int last, boolean isWhole) {
    Operand<TInt32> outermost = Algebra.sizes(tf, x, 0, 2);
    Operand<TInt32> kept = kept(x);
    Operand<T> cut = isWhole ? x : firstPositions(x, kept, last);
    Operand<T> padded = padded(cut, tf.math.sub(tf.math.mul(chunk, count()), kept));
    return tf.reshape(padded, shape(List.of(outermost, count(), chunk, tf.array(last))));
  }

  /** Undoes {@link #split} of L positions: {@code [B, H, N, C, X]} to {@code [B, H, L, X]}. */
  <T extends TFloating> Operand<T> join(Operand<T> x, int last) {
    Operand<TInt32> outermost = Algebra.sizes(tf, x, 0, 2);
    Operand<T> all = tf.reshape(x, shape(List.of(outermost, tf.array(-1, last))));
    return firstPositions(all, length, last);
  }

  /** The gradient of {@link #split} of {@code [B, H, S, X]}: 0 for what was cut. */
  <T extends TFloating> Operand<T> joined(
      Operand<T> gradient, Operand<T> of, int last, boolean isWhole) {
    Operand<T> all = join(gradient, last); // [B, H, L, X]
    if (isWhole) {
      return all;
    }
    Operand<TInt32> kept = kept(of);
    Operand<TInt32> cut = tf.math.sub(Algebra.sizes(tf, of, 2, 3), kept);
    return padded(firstPositions(all, kept, last), cut);
  }

  /** How many of S positions are not behind the last query. */
  private Operand<TInt32> kept(Operand<?> x) {
    return tf.math.minimum(Algebra.sizes(tf, x, 2, 3), length);
  }

  private <T extends TFloating> Operand<T> padded(Operand<T> x, Operand<TInt32> missing) {
    var flat = shape(List.of(tf.array(0, 0, 0, 0, 0), missing, tf.array(0, 0)));
    Operand<TInt32> paddings = tf.reshape(flat, tf.array(4, 2));
    return tf.pad(x, paddings, Algebra.of(tf, x).constant(0));
  }

  private <T extends TFloating> Operand<T> firstPositions(
      Operand<T> x, Operand<TInt32> positions, int last) {
    var sizes = List.of(Algebra.sizes(tf, x, 0, 2), positions, tf.array(last));
    return tf.slice(x, tf.array(0, 0, 0, 0), shape(sizes));
  }

  private Operand<TInt32> shape(List<Operand<TInt32>> parts) {
    return tf.concat(parts, tf.constant(0));
  }
}
