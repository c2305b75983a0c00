package dev.performer.nn;

import dev.performer.graph.Algebra;
import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gather;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * A sequence of Lp = N·C positions, L of them real, whose positions are sorted by bucket and cut
 * into N chunks of C. Sizes are {@code [1]}, constants where L is known when the graph is built;
 * numbers of positions are float32, exact up to 2^24.
 */
record SortedChunks(
    Ops tf,
    Operand<TInt32> length, // L
    Operand<TInt32> size, // C; never longer than L
    Operand<TInt32> count, // N
    Operand<TInt32> positions) { // Lp
  /** Of queries {@code [B, H, L, D]}. */
  static SortedChunks of(Ops tf, Operand<?> queries, int longest) {
    long known = queries.shape().get(2);
    if (known >= 0) {
      int c = (int) Math.max(1, Math.min(longest, known));
      int n = (int) Math.max(1, (known + c - 1) / c);
      var length = tf.array((int) known);
      return new SortedChunks(tf, length, tf.array(c), tf.array(n), tf.array(n * c));
    }
    Operand<TInt32> length = Algebra.sizes(tf, queries, 2, 3);
    Operand<TInt32> one = tf.array(1);
    Operand<TInt32> c = tf.math.maximum(one, tf.math.minimum(tf.array(longest), length));
    var rounded = tf.math.floorDiv(tf.math.sub(tf.math.add(length, c), one), c);
    Operand<TInt32> n = tf.math.maximum(one, rounded);
    return new SortedChunks(tf, length, c, n, tf.math.mul(n, c));
  }

  @SafeVarargs
  final Operand<TInt32> shape(Operand<TInt32>... parts) {
    return tf.concat(List.of(parts), tf.constant(0));
  }

  /** {@code [..., L, X]} with zeros up to Lp. */
  <T extends TFloating> Operand<T> padded(Operand<T> x) {
    return padded(x, x.shape().numDimensions() - 2, Algebra.of(tf, x).constant(0));
  }

  private <T extends TNumber> Operand<T> padded(Operand<T> x, int axis, Operand<T> fill) {
    int rank = x.shape().numDimensions();
    var missing = tf.math.sub(positions, length);
    var zeros = tf.constant(new int[2 * axis + 1]);
    var flat = shape(zeros, missing, tf.constant(new int[2 * (rank - axis - 1)]));
    Operand<T> padded = tf.pad(x, tf.reshape(flat, tf.array(-1, 2)), fill);
    Operand<TInt32> rest = Algebra.sizes(tf, x, axis + 1, rank);
    return tf.reshape(padded, shape(Algebra.sizes(tf, x, 0, axis), positions, rest));
  }

  /** Whether a position is neither padding nor filling, {@code [B|1, 1, 1, Lp]}. */
  Operand<TBool> real(Operand<? extends TNumber> keyMask) {
    if (keyMask == null) {
      var inside = tf.math.less(range(positions), length); // [Lp]
      return tf.reshape(inside, shape(tf.array(1, 1, 1), positions));
    }
    Operand<TFloat32> all = padded(tf.dtypes.cast(keyMask, TFloat32.class), 1, tf.constant(0f));
    var isReal = tf.math.greater(all, tf.constant(0f)); // [B, Lp]
    return tf.expandDims(tf.expandDims(isReal, tf.constant(1)), tf.constant(1));
  }

  private Operand<TInt32> range(Operand<TInt32> end) {
    return tf.range(tf.constant(0), tf.squeeze(end), tf.constant(1));
  }

  /** The first L positions of {@code [B, H, Lp, X]}. */
  <T extends TFloating> Operand<T> cut(Operand<T> x) {
    var sizes = shape(Algebra.sizes(tf, x, 0, 2), length, Algebra.sizes(tf, x, 3, 4));
    return tf.slice(x, tf.array(0, 0, 0, 0), sizes);
  }

  /** Sorts by buckets of R rounds, {@code [B, H, R, Lp]}; within one, positions stay in order. */
  Sorted sorted(Operand<TFloat32> buckets, int rounds) {
    var all = tf.squeeze(positions);
    var byBucket =
        tf.nn.topK(tf.math.neg(buckets), all, TInt32.class); // of equal ones the first comes first
    Operand<TInt32> order = byBucket.indices(); // [B, H, R, Lp]
    Operand<TFloat32> ascending = tf.math.neg(tf.dtypes.cast(order, TFloat32.class));
    Operand<TInt32> places = tf.nn.topK(ascending, all, TInt32.class).indices(); // of each position
    return new Sorted(this, buckets, tf.math.neg(byBucket.values()), order, places, rounds);
  }

  /** The order of each round; G = B·H·R. */
  record Sorted(
      SortedChunks chunks,
      Operand<TFloat32> bucketOfPosition, // [B, H, R, Lp]
      Operand<TFloat32> bucketOfPlace, // [B, H, R, Lp]
      Operand<TInt32> order, // the position at a place, [B, H, R, Lp]
      Operand<TInt32> placeOfPosition, // [B, H, R, Lp]
      int rounds) {
    Ops tf() {
      return chunks.tf;
    }

    Operand<TFloat32> chunk() {
      return tf().dtypes.cast(chunks.size, TFloat32.class);
    }

    /** {@code [B, H, Lp, X]} in the order of each round, {@code [G, N, C, X]}. */
    <T extends TFloating> Operand<T> chunked(Operand<T> x) {
      return cut(gathered(x, order), Algebra.sizes(tf(), x, 3, 4));
    }

    private <T extends TNumber> Operand<T> cut(Operand<T> x, Operand<TInt32> last) {
      return tf().reshape(x, chunks.shape(tf().array(-1), chunks.count, chunks.size, last));
    }

    /** Rows of {@code [B, H, ·, X]}, {@code [B, H, R·Lp, X]}. */
    private <T extends TFloating> Operand<T> gathered(Operand<T> x, Operand<TInt32> rows) {
      var all = tf().math.mul(chunks.positions, tf().array(rounds));
      var flat = tf().reshape(rows, chunks.shape(Algebra.sizes(tf(), rows, 0, 2), all));
      return tf().gather(x, flat, tf().constant(2), Gather.batchDims(2L));
    }

    /** Undoes {@link #chunked} for each round, {@code [B, H, R, Lp, X]}. */
    <T extends TFloating> Operand<T> unsorted(Operand<T> x) {
      Ops tf = tf();
      Operand<TInt32> last = Algebra.sizes(tf, x, 3, 4);
      var heads = Algebra.sizes(tf, order, 0, 2);
      var all = tf.math.mul(chunks.positions, tf.array(rounds));
      Operand<T> rows = tf.reshape(x, chunks.shape(heads, all, last));
      int[] numbers = IntStream.range(0, rounds).toArray();
      var begin = tf.math.mul(tf.constant(numbers), chunks.positions); // [R]
      var places = tf.math.add(placeOfPosition, tf.expandDims(begin, tf.constant(1)));
      Operand<T> back = gathered(rows, places); // [B, H, R·Lp, X]
      return tf.reshape(back, chunks.shape(heads, tf.array(rounds), chunks.positions, last));
    }

    /** Each chunk behind the one before it, {@code [G, N, C, X]} to {@code [G, N, 2C, X]}. */
    <T extends TFloating> Operand<T> withBefore(Operand<T> x, double beforeAll) {
      Ops tf = tf();
      var paddings = tf.constant(new int[][] {{0, 0}, {1, 0}, {0, 0}, {0, 0}});
      Operand<T> shifted = tf.pad(x, paddings, Algebra.of(tf, x).constant(beforeAll));
      Operand<T> before = tf.slice(shifted, tf.array(0, 0, 0, 0), tf.shape(x));
      return tf.concat(List.of(before, x), tf.constant(2));
    }

    /** What keys have of a column of queries, {@code [G, N, C, 1]} to {@code [G, N, 1, 2C]}. */
    Operand<TFloat32> keys(Operand<TFloat32> column) {
      return tf().linalg.transpose(withBefore(column, -1), tf().array(0, 1, 3, 2));
    }

    /** The bucket at each place, {@code [G, N, C, 1]}. */
    Operand<TFloat32> buckets() {
      return cut(bucketOfPlace, tf().array(1));
    }

    /** The places themselves, {@code [1, N, C, 1]}. */
    Operand<TFloat32> places() {
      return cut(tf().dtypes.cast(chunks.range(chunks.positions), TFloat32.class), tf().array(1));
    }

    /** Buckets and places that what is at a place has in all rounds, {@code [G, N, C, 2R]}. */
    Operand<TFloat32> inRounds() {
      Ops tf = tf();
      Operand<TFloat32> places = tf.dtypes.cast(placeOfPosition, TFloat32.class);
      var both = tf.concat(List.of(bucketOfPosition, places), tf.constant(2)); // [B, H, 2R, Lp]
      return chunked(tf.linalg.transpose(both, tf.array(0, 1, 3, 2)));
    }
  }
}
