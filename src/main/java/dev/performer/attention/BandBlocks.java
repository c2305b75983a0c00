package dev.performer.attention;

import dev.performer.attention.BandedAttention.Keys;
import dev.performer.graph.Algebra;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Positions in blocks of C, where keys stand W places behind: all that queries of block n have in
 * their window is in the keys' blocks n to n + b − 1. Blocks of all heads stand in one row, N a
 * head, so that the keys' blocks of every query block are a slice of it, which copies nothing.
 */
record BandBlocks(
    Ops tf,
    Operand<TInt32> length, // L, as all sizes a [1]
    Operand<TInt32> window, // W
    Operand<TInt32> chunk, // C
    Operand<TInt32> count, // N
    int near, // b
    boolean isTwoSided) {
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
      IntFunction<Operand<TInt32>> size = tf::array;
      return new BandBlocks(
          tf, size.apply((int) known), size.apply(w), size.apply(c), size.apply(n), b, isTwoSided);
    }
    int c = chunk(window, given);
    int b = 1 + ceiling(sides * (long) window, c);
    Operand<TInt32> length = Algebra.sizes(tf, queries, 2, 3);
    Operand<TInt32> atLeastOne = tf.math.maximum(length, tf.array(1));
    boolean shrinks = mayShrink && b > sides; // then b blocks do for every shorter length
    Operand<TInt32> w = shrinks ? tf.math.minimum(tf.array(window), atLeastOne) : tf.array(window);
    Operand<TInt32> chunk = shrinks ? tf.math.minimum(tf.array(c), atLeastOne) : tf.array(c);
    Operand<TInt32> count = tf.math.add(ceiling(tf, atLeastOne, chunk), tf.array(b - 1));
    return new BandBlocks(tf, length, w, chunk, count, b, isTwoSided);
  }

  /** About W: products with few keys beyond a query's window, in blocks that are not too many. */
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

  /** Fills up to whole blocks, with keys that do not count. */
  <T extends TFloating> Keys<T> filled(Keys<T> x) {
    Operand<T> column = filled(LinearAttention.maskColumn(tf, x.counted())); // [B|1, 1, S, 1]
    Operand<T> counted = tf.squeeze(column, Squeeze.axis(List.of(1L, 3L)));
    return new Keys<>(filled(x.keys()), filled(x.values()), counted);
  }

  /** Fills {@code [B, H, S, X]} up to whole blocks. */
  <T extends TFloating> Operand<T> filled(Operand<T> x) {
    var missing = tf.math.sub(tf.math.mul(count, chunk), Algebra.sizes(tf, x, 2, 3));
    var behind = BandedAttention.zeros(tf, x, 2, missing);
    return tf.concat(List.of(x, behind), tf.constant(2));
  }

  /** Of filled positions, {@code [B·H·N, C, X]}. */
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
    return first(tf.reshape(whole, shape(outer, tf.math.mul(count, chunk), tf.array(last))));
  }

  /** The first L of filled positions. */
  <T extends TFloating> Operand<T> first(Operand<T> filled) {
    int last = (int) Algebra.size(filled, 3, "the last size");
    var sizes = shape(Algebra.sizes(tf, filled, 0, 2), length, tf.array(last));
    return tf.slice(filled, tf.array(0, 0, 0, 0), sizes);
  }

  /** The keys' blocks of each block of queries, {@code [n, b·C, X]}. */
  <T extends TFloating> Operand<T> nearOf(Operand<T> row) {
    return Algebra.of(tf, row).concat(1, shifts(j -> shifted(row, j)));
  }

  /** Products of queries of each block with its near keys, {@code [n, C, b·C]}. */
  <T extends TFloating> Operand<T> products(Operand<T> queries, Operand<T> keys) {
    Algebra<T> a = Algebra.of(tf, queries);
    Operand<T> first = shifted(queries, 0);
    return a.concat(2, shifts(j -> a.matMulTransposed(first, shifted(keys, j))));
  }

  private <T extends TFloating> List<Operand<T>> shifts(IntFunction<Operand<T>> block) {
    return IntStream.range(0, near).mapToObj(block).toList();
  }

  /** Which near keys are in the window of a query, {@code [C, b·C]}. */
  Operand<TBool> inWindow() {
    Operand<TInt32> queries = tf.expandDims(places(chunk), tf.constant(1)); // [C, 1]
    Operand<TInt32> keys = tf.math.sub(places(tf.math.mul(chunk, tf.array(near))), window);
    Operand<TInt32> ahead = tf.math.sub(keys, queries); // [C, b·C]
    var isNear = tf.math.greaterEqual(ahead, tf.math.neg(window));
    Operand<TInt32> most = isTwoSided ? window : tf.array(0);
    return tf.math.logicalAnd(isNear, tf.math.lessEqual(ahead, most));
  }

  private Operand<TInt32> places(Operand<TInt32> count) {
    return tf.range(tf.constant(0), tf.squeeze(count), tf.constant(1));
  }

  @SafeVarargs
  private Operand<TInt32> shape(Operand<TInt32>... parts) {
    return tf.concat(List.of(parts), tf.constant(0));
  }
}
