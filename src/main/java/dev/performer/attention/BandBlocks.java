package dev.performer.attention;

import dev.performer.attention.BandedAttention.Keys;
import dev.performer.graph.Algebra;
import java.util.List;
import java.util.function.IntFunction;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Positions in blocks of C, N of queries, where keys stand W places behind: all that queries of
 * block n have in their window is in the keys' blocks n to n + b − 1. Blocks of all heads stand in
 * one row, K groups of G a head, so that the keys' blocks of every query block are a slice of it,
 * which copies nothing.
 */
record BandBlocks(
    Ops tf,
    Operand<TInt32> length, // L, as all sizes a [1]
    Operand<TInt32> window, // W
    Operand<TInt32> chunk, // C
    Operand<TInt32> groups, // K
    Operand<TInt32> perGroup, // G
    int near, // b
    boolean isTwoSided,
    boolean oneGroup) {
  private static final int LARGEST_GROUP = 64;
  private static final int MOST_NEAR = 8;

  /**
   * For queries {@code [B, H, L, D]}.
   *
   * @param window W, at least 1
   * @param given C, or 0 to choose it
   * @param mayShrink whether W may be less where the sequence is no longer
   */
  static BandBlocks of(
      Ops tf, Operand<?> queries, int window, boolean isTwoSided, int given, boolean mayShrink) {
    long known = queries.shape().get(2);
    int sides = isTwoSided ? 2 : 1;
    if (known >= 0) {
      int l = (int) Math.max(1, known);
      int w = mayShrink ? Math.min(window, l) : window;
      int chosen = chunk(w, given);
      int c = mayShrink ? Math.min(chosen, l) : chosen;
      int b = 1 + ceiling(sides * (long) w, c);
      int n = ceiling(l, c) + b - 1;
      int k = isTwoSided ? ceiling(n, LARGEST_GROUP) : 1;
      IntFunction<Operand<TInt32>> size = tf::array;
      var perGroup = size.apply(ceiling(n, k));
      return new BandBlocks(
          tf,
          size.apply((int) known),
          size.apply(w),
          size.apply(c),
          size.apply(k),
          perGroup,
          b,
          isTwoSided,
          k == 1);
    }
    int c = chunk(window, given);
    int b = 1 + ceiling(sides * (long) window, c);
    Operand<TInt32> length = Algebra.sizes(tf, queries, 2, 3);
    Operand<TInt32> atLeastOne = tf.math.maximum(length, tf.array(1));
    boolean shrinks = mayShrink && b > sides; // then b blocks do for every shorter length
    Operand<TInt32> w = shrinks ? tf.math.minimum(tf.array(window), atLeastOne) : tf.array(window);
    Operand<TInt32> chunk = shrinks ? tf.math.minimum(tf.array(c), atLeastOne) : tf.array(c);
    Operand<TInt32> count = tf.math.add(ceiling(tf, atLeastOne, chunk), tf.array(b - 1));
    Operand<TInt32> groups = isTwoSided ? ceiling(tf, count, tf.array(LARGEST_GROUP)) : tf.array(1);
    var perGroup = ceiling(tf, count, groups);
    return new BandBlocks(tf, length, w, chunk, groups, perGroup, b, isTwoSided, !isTwoSided);
  }

  /** About W: few features of near keys beside few states; never so short that blocks are many. */
  private static int chunk(int window, int given) {
    int power = Integer.highestOneBit(Math.max(1, window - 1)) * 2;
    int own = given > 0 ? given : Math.max(32, Math.min(128, power));
    return Math.max(own, ceiling(window, given > 0 ? MOST_NEAR : MOST_NEAR / 2));
  }

  private static int ceiling(long x, int by) {
    return (int) ((x + by - 1) / by);
  }

  private static Operand<TInt32> ceiling(Ops tf, Operand<TInt32> x, Operand<TInt32> by) {
    return tf.math.floorDiv(tf.math.sub(tf.math.add(x, by), tf.array(1)), by);
  }

  /** K·G, the blocks of a head. */
  private Operand<TInt32> count() {
    return tf.math.mul(groups, perGroup);
  }

  /** Fills up to whole blocks of K·G, with keys that do not count. */
  <T extends TFloating> Keys<T> filled(Keys<T> x) {
    Operand<T> column = filled(LinearAttention.maskColumn(tf, x.counted())); // [B|1, 1, S, 1]
    Operand<T> counted = tf.squeeze(column, Squeeze.axis(List.of(1L, 3L)));
    return new Keys<>(filled(x.keys()), filled(x.values()), counted);
  }

  /** Fills {@code [B, H, S, X]} up to whole blocks of K·G. */
  <T extends TFloating> Operand<T> filled(Operand<T> x) {
    var missing = tf.math.sub(tf.math.mul(count(), chunk), Algebra.sizes(tf, x, 2, 3));
    var behind = BandedAttention.zeros(tf, x, 2, missing);
    return tf.concat(List.of(x, behind), tf.constant(2));
  }

  /** Of filled positions, {@code [B·H·K·G, C, X]}. */
  <T extends TFloating> Operand<T> row(Operand<T> filled) {
    int last = (int) Algebra.size(filled, 3, "the last size");
    return tf.reshape(filled, shape(tf.array(-1), chunk, tf.array(last)));
  }

  /** The keys' blocks that are j-th to each block of queries; of queries those that have all b. */
  <T extends TFloating> Operand<T> shifted(Operand<T> row, int j) {
    var most = tf.math.sub(Algebra.sizes(tf, row, 0, 1), tf.array(near - 1));
    int last = (int) Algebra.size(row, 2, "the last size");
    return tf.slice(row, tf.array(j, 0, 0), shape(most, chunk, tf.array(last)));
  }

  /** Undoes {@link #row} for blocks of queries, {@code [B, H, L, X]}; {@code like} has B and H. */
  <T extends TFloating> Operand<T> positions(Operand<T> shifted, Operand<?> like) {
    int last = (int) Algebra.size(shifted, 2, "the last size");
    var behind = tf.constant(new int[][] {{0, near - 1}, {0, 0}, {0, 0}});
    Operand<T> whole = tf.pad(shifted, behind, Algebra.of(tf, shifted).constant(0));
    var outer = Algebra.sizes(tf, like, 0, 2);
    return first(tf.reshape(whole, shape(outer, tf.math.mul(count(), chunk), tf.array(last))));
  }

  /** The first L of filled positions. */
  <T extends TFloating> Operand<T> first(Operand<T> filled) {
    int last = (int) Algebra.size(filled, 3, "the last size");
    var sizes = shape(Algebra.sizes(tf, filled, 0, 2), length, tf.array(last));
    return tf.slice(filled, tf.array(0, 0, 0, 0), sizes);
  }

  /** Which keys of the j-th block are in the window of a query, {@code [C, C]}. */
  Operand<TBool> inWindow(int j) {
    Operand<TInt32> places = places(chunk);
    Operand<TInt32> queries = tf.expandDims(places, tf.constant(1)); // [C, 1]
    var offset = tf.math.sub(tf.math.mul(chunk, tf.array(j)), window);
    Operand<TInt32> ahead = tf.math.sub(tf.math.add(places, offset), queries); // [C, C]
    var isNear = tf.math.greaterEqual(ahead, tf.math.neg(window));
    Operand<TInt32> most = isTwoSided ? window : tf.array(0);
    return tf.math.logicalAnd(isNear, tf.math.lessEqual(ahead, most));
  }

  private Operand<TInt32> places(Operand<TInt32> count) {
    return tf.range(tf.constant(0), tf.squeeze(count), tf.constant(1));
  }

  /**
   * Of every block's state, {@code [B·H·K·G, V+1, R]}, the sum of those that are near to no query
   * of each block. Nothing is subtracted: a product with a matrix of zeros and ones in each group,
   * which has the first blocks of the next group and the sum of all other keys behind its own.
   */
  <T extends TFloating> Operand<T> far(Operand<T> states) {
    Algebra<T> a = Algebra.of(tf, states);
    int x = (int) Algebra.size(states, 1, "the value size");
    int y = (int) Algebra.size(states, 2, "the number of features");
    var whole = shape(tf.array(-1), groups, perGroup, tf.array(x * y));
    Operand<T> grouped = tf.reshape(states, whole); // [B·H, K, G, XY]
    Operand<T> known = grouped;
    Operand<TInt32> columns = perGroup;
    if (!oneGroup) {
      Operand<TInt32> straddled = tf.math.minimum(tf.array(near - 1), perGroup); // e
      var begin = shape(tf.array(-1, -1), straddled, tf.array(-1));
      Operand<T> starts = tf.slice(grouped, tf.array(0, 0, 0, 0), begin); // [B·H, K, e, XY]
      Operand<T> starting = a.sum(starts, 2);
      var rest = shape(tf.array(0, 0), straddled, tf.array(0));
      Operand<T> later = a.sum(tf.slice(grouped, rest, tf.array(-1, -1, -1, -1)), 2);
      Operand<T> sums = tf.squeeze(tf.math.add(starting, later), squeezed()); // [B·H, K, XY]
      Operand<T> others = a.matMul(apart(a), sums);
      Operand<T> next = a.matMul(following(a), tf.squeeze(later, squeezed()));
      Operand<T> outside = tf.expandDims(tf.math.add(others, next), tf.constant(2));
      var allButFirst = tf.slice(starts, tf.array(0, 1, 0, 0), tf.array(-1, -1, -1, -1));
      var one = tf.constant(new int[][] {{0, 0}, {0, 1}, {0, 0}, {0, 0}});
      Operand<T> coming = tf.pad(allButFirst, one, a.constant(0)); // [B·H, K, e, XY]
      known = a.concat(2, List.of(grouped, coming, outside));
      columns = tf.math.add(tf.math.add(perGroup, straddled), tf.array(1));
    }
    Operand<T> far = a.matMul(farInGroup(a, columns), known); // [B·H, K, G, XY]
    return tf.reshape(far, tf.array(-1, x, y));
  }

  private static Squeeze.Options squeezed() {
    return Squeeze.axis(List.of(2L));
  }

  /** {@code [G, columns]}: 0 where column m is block n to n + b − 1, of the row n. */
  private <T extends TFloating> Operand<T> farInGroup(Algebra<T> a, Operand<TInt32> columns) {
    Operand<TInt32> ahead = differences(columns, perGroup);
    var isBefore = tf.math.less(ahead, tf.constant(0));
    var isBehind = tf.math.greaterEqual(ahead, tf.constant(near));
    return tf.stopGradient(a.where(tf.math.logicalOr(isBefore, isBehind), 1, 0));
  }

  /** {@code [K, K]}: 1 where group h is neither g nor the next. */
  private <T extends TFloating> Operand<T> apart(Algebra<T> a) {
    Operand<TInt32> ahead = differences(groups, groups);
    var isBefore = tf.math.less(ahead, tf.constant(0));
    var isBehind = tf.math.greater(ahead, tf.constant(1));
    return tf.stopGradient(a.where(tf.math.logicalOr(isBefore, isBehind), 1, 0));
  }

  /** {@code [K, K]}: 1 where group h is the next of g. */
  private <T extends TFloating> Operand<T> following(Algebra<T> a) {
    var isNext = tf.math.equal(differences(groups, groups), tf.constant(1));
    return tf.stopGradient(a.where(isNext, 1, 0));
  }

  /** Column less row. */
  private Operand<TInt32> differences(Operand<TInt32> columns, Operand<TInt32> rows) {
    return tf.math.sub(places(columns), tf.expandDims(places(rows), tf.constant(1)));
  }

  @SafeVarargs
  private Operand<TInt32> shape(Operand<TInt32>... parts) {
    return tf.concat(List.of(parts), tf.constant(0));
  }
}
