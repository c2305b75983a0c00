package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.math.Cumsum;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * How a length is cut into N = K·G chunks of C, K groups of G: in the graph where the length is not
 * known when it is built. Every size is a {@code [1]}.
 *
 * @param length L
 * @param chunk C; never longer than L
 * @param groups K
 * @param perGroup G, at most 64
 * @param knownLength L, or -1
 * @param oneGroup whether K is known to be 1
 */
record Chunks(
    Ops tf,
    Operand<TInt32> length,
    Operand<TInt32> chunk,
    Operand<TInt32> groups,
    Operand<TInt32> perGroup,
    long knownLength,
    boolean oneGroup) {
  private static final int LARGEST_GROUP = 64;

  static Chunks of(Ops tf, Operand<?> queries, int longest) {
    long known = queries.shape().get(2);
    if (known >= 0) {
      int c = (int) Math.max(1, Math.min(longest, known));
      int n = (int) Math.max(1, (known + c - 1) / c);
      int k = (n + LARGEST_GROUP - 1) / LARGEST_GROUP;
      return new Chunks(
          tf,
          vector(tf, (int) known),
          vector(tf, c),
          vector(tf, k),
          vector(tf, (n + k - 1) / k),
          known,
          k == 1);
    }
    Operand<TInt32> length = Algebra.sizes(tf, queries, 2, 3);
    Operand<TInt32> one = vector(tf, 1);
    Operand<TInt32> chunk = tf.math.maximum(one, tf.math.minimum(vector(tf, longest), length));
    Operand<TInt32> chunks = tf.math.maximum(one, roundedUp(tf, length, chunk));
    Operand<TInt32> groups = roundedUp(tf, chunks, vector(tf, LARGEST_GROUP));
    return new Chunks(tf, length, chunk, groups, roundedUp(tf, chunks, groups), known, false);
  }

  private static Operand<TInt32> roundedUp(Ops tf, Operand<TInt32> x, Operand<TInt32> by) {
    return tf.math.floorDiv(tf.math.sub(tf.math.add(x, by), vector(tf, 1)), by);
  }

  private Operand<TInt32> count() {
    return tf.math.mul(groups, perGroup);
  }

  /**
   * The sum of all chunks before each: in a group a product with a triangle of ones, several times
   * faster than a scan of such wide rows, and a scan over the few groups.
   *
   * @param states {@code [B, H, N, V+1, R]}, all finite: 0 times infinity would reach the past
   */
  <T extends TFloating> Operand<T> exclusivePrefixSum(Operand<T> states) {
    Algebra<T> a = Algebra.of(tf, states);
    int x = (int) Algebra.size(states, 3, "the value size");
    int y = (int) Algebra.size(states, 4, "the number of features");
    Operand<TInt32> outer = Algebra.sizes(tf, states, 0, 2);
    Operand<T> grouped =
        tf.reshape(
            states, join(List.of(outer, groups, perGroup, vector(tf, x * y)))); // [B, H, K, G, XY]
    Operand<T> ones = tf.fill(join(List.of(perGroup, perGroup)), a.constant(1));
    Operand<T> before =
        tf.math.sub(band(ones, -1), band(ones, 0)); // [G, G], 1 strictly below the diagonal
    Operand<T> inGroup = a.matMul(before, grouped); // [B, H, K, G, XY]
    if (!oneGroup) {
      var carried = tf.math.cumsum(a.sum(grouped, 3), tf.constant(2), Cumsum.exclusive(true));
      inGroup = tf.math.add(inGroup, carried); // [B, H, K, 1, XY] to every chunk of a group
    }
    return tf.reshape(inGroup, join(List.of(outer, count(), tf.constant(new int[] {x, y}))));
  }

  /**
   * Chunks whose state left the range of the float type.
   *
   * @param clean the states, 0 where they overflowed, {@code [B, H, N, X, Y]}
   * @param poison NaN in chunks after an overflow, else 0, {@code [B, H, N, 1, 1]}
   */
  record Contained<T extends TFloating>(Operand<T> clean, Operand<T> poison) {}

  /** Keeps an overflow from the chunks before it, and shows it in those after it. */
  <T extends TFloating> Contained<T> contain(Operand<T> states) {
    Algebra<T> a = Algebra.of(tf, states);
    Operand<TBool> finite = tf.math.isFinite(a.sum(states, 3, 4)); // [B, H, N, 1, 1]
    Operand<T> overflow = a.where(finite, 0, Double.NaN);
    return new Contained<>(
        tf.select(finite, states, a.constant(0)),
        tf.math.cumsum(overflow, tf.constant(2), Cumsum.exclusive(true)));
  }

  private <T extends TFloating> Operand<T> band(Operand<T> ones, long below) {
    return tf.linalg.bandPart(ones, tf.constant(below), tf.constant(0L));
  }

  /** Cuts or pads {@code [B, H, S, X]} to N·C positions, then {@code [B, H, N, C, X]}. */
  <T extends TFloating> Operand<T> split(Operand<T> x) {
    int last = (int) Algebra.size(x, 3, "the last size");
    Operand<TInt32> outer = Algebra.sizes(tf, x, 0, 2);
    Operand<TInt32> kept = tf.math.minimum(Algebra.sizes(tf, x, 2, 3), length);
    boolean whole = knownLength >= 0 && x.shape().get(2) == knownLength;
    Operand<T> cut = whole ? x : firstPositions(x, kept, last);
    Operand<TInt32> missing = tf.math.sub(tf.math.mul(chunk, count()), kept);
    Operand<TInt32> paddings =
        tf.reshape(
            join(List.of(tf.constant(new int[5]), missing, tf.constant(new int[2]))),
            tf.constant(new int[] {4, 2}));
    Operand<T> padded = tf.pad(cut, paddings, Algebra.of(tf, x).constant(0));
    return tf.reshape(padded, join(List.of(outer, count(), chunk, vector(tf, last))));
  }

  /** Undoes {@link #split}: {@code [B, H, N, C, X]} to {@code [B, H, L, X]}. */
  <T extends TFloating> Operand<T> join(Operand<T> x) {
    int last = (int) Algebra.size(x, 4, "the last size");
    Operand<TInt32> outer = Algebra.sizes(tf, x, 0, 2);
    Operand<T> all = tf.reshape(x, join(List.of(outer, tf.constant(new int[] {-1, last}))));
    return firstPositions(all, length, last);
  }

  private <T extends TFloating> Operand<T> firstPositions(
      Operand<T> x, Operand<TInt32> positions, int last) {
    return tf.slice(
        x,
        tf.constant(new int[4]),
        join(List.of(Algebra.sizes(tf, x, 0, 2), positions, vector(tf, last))));
  }

  private Operand<TInt32> join(List<Operand<TInt32>> parts) {
    return tf.concat(parts, tf.constant(0));
  }

  private static Operand<TInt32> vector(Ops tf, int value) {
    return tf.constant(new int[] {value});
  }
}
