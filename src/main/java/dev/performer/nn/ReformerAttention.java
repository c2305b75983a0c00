package dev.performer.nn;

import dev.performer.attention.Attention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.LinearAttention;
import dev.performer.graph.Algebra;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Reformer's attention, a baseline: softmax over the keys of a position's own bucket. Queries are
 * the keys, too, there scaled to length 1. In each round positions are sorted by bucket and cut
 * into chunks; each is compared with its chunk and the one before. A key that several rounds find
 * counts once, and a position sees itself only where it sees nothing else.
 *
 * <p>Causal, a position sees the C positions of its bucket before it, which chunks of two always
 * hold: in Reformer's own code it sees a part of them that depends on where chunks begin, and so on
 * the future.
 *
 * @param rotations {@code [rounds·buckets/2, D]}; null where all is one bucket
 * @see <a href="https://arxiv.org/abs/2001.04451">Reformer, section 2</a>
 */
public record ReformerAttention(ReformerConfig config, boolean causal, Operand<?> rotations)
    implements Attention {
  private static final float NOTHING = -1e9f;
  private static final float SELF = -1e5f;
  private static final double EPSILON = 1e-6;

  /** Keys are those of the queries, whatever {@code keys} are. */
  @Override
  public <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    return FavorAttention.isNarrow(queries.type())
        ? FavorAttention.widened(this, tf, queries, keys, values, keyMask)
        : attend(tf, queries, values, keyMask, weights -> weights);
  }

  /** The same with something done to the weights, as dropout does. */
  <T extends TFloating> Operand<T> attend(
      Ops tf,
      Operand<T> queries,
      Operand<T> values,
      Operand<T> keyMask,
      UnaryOperator<Operand<T>> onWeights) {
    Algebra<T> a = Algebra.of(tf, queries);
    var chunks = SortedChunks.of(tf, queries, config.chunk());
    Operand<T> padded = chunks.padded(queries); // [B, H, Lp, D]
    var sorted = sorted(chunks, buckets(a, chunks, padded, keyMask));
    Operand<T> q = sorted.chunked(padded); // [G, N, C, D], G = B·H·rounds
    Operand<T> k = sorted.withBefore(unit(a, q), 0); // [G, N, 2C, D]
    Operand<T> v = sorted.withBefore(sorted.chunked(chunks.padded(values)), 0); // [G, N, 2C, V]
    Operand<T> scores = scores(a, a.matMulTransposed(q, k), sorted); // [G, N, C, 2C]
    Operand<T> most = tf.stopGradient(a.max(scores, 3));
    Operand<T> exp = tf.math.exp(tf.math.sub(scores, most));
    Operand<T> sum = a.sum(exp, 3); // [G, N, C, 1]
    Operand<T> out = a.matMul(onWeights.apply(tf.math.div(exp, sum)), v); // [G, N, C, V]
    Operand<T> logSum = tf.math.add(most, tf.math.log(sum));
    Operand<T> joined = joined(a, sorted.unsorted(out), sorted.unsorted(logSum));
    Operand<T> kept = chunks.cut(joined); // [B, H, L, V]
    // Padding has a bucket of its own, where it sees nothing.
    return keyMask == null ? kept : tf.math.mul(kept, LinearAttention.maskColumn(tf, keyMask));
  }

  /** {@code x} over its length, as Reformer's code guards it. */
  private static <T extends TFloating> Operand<T> unit(Algebra<T> a, Operand<T> x) {
    double size = Algebra.size(x, -1, "the head size");
    Operand<T> squares = a.plus(a.squaredNorm(x), EPSILON * size);
    return a.tf().math.mul(x, a.tf().math.rsqrt(squares));
  }

  /** The bucket of each position in each round, {@code [B, H, R, Lp]}; that of padding is last. */
  private <T extends TFloating> Operand<TFloat32> buckets(
      Algebra<T> a, SortedChunks chunks, Operand<T> queries, Operand<T> keyMask) {
    Ops tf = a.tf();
    int r = config.rounds();
    Operand<TInt32> heads = Algebra.sizes(tf, queries, 0, 2); // [B, H]
    Operand<TFloat32> found; // [B, H, R, Lp]
    if (rotations == null) {
      var sizes = chunks.shape(heads, tf.array(r), chunks.positions());
      found = tf.fill(sizes, tf.constant(0f));
    } else {
      @SuppressWarnings("unchecked")
      Operand<T> matrix = a.cast((Operand<? extends TFloating>) rotations);
      Operand<T> along = a.rowsTimesRows(tf.stopGradient(queries), matrix);
      var sizes = chunks.shape(heads, chunks.positions(), tf.array(r, config.buckets() / 2));
      Operand<T> byRound = tf.reshape(along, sizes); // [B, H, Lp, R, buckets/2]
      Operand<T> both = a.concat(4, List.of(byRound, tf.math.neg(byRound)));
      Operand<TInt32> nearest = tf.math.argMax(both, tf.constant(4), TInt32.class);
      var moved = tf.linalg.transpose(nearest, tf.array(0, 1, 3, 2));
      found = tf.dtypes.cast(moved, TFloat32.class);
    }
    Operand<TBool> real = chunks.real(keyMask); // [B|1, 1, 1, Lp]
    return tf.select(real, found, tf.constant((float) config.buckets()));
  }

  private SortedChunks.Sorted sorted(SortedChunks chunks, Operand<TFloat32> buckets) {
    return chunks.sorted(buckets, config.rounds());
  }

  /** Scores of what may be seen, of itself, and of nothing. */
  private <T extends TFloating> Operand<T> scores(
      Algebra<T> a, Operand<T> products, SortedChunks.Sorted sorted) {
    Ops tf = a.tf();
    Operand<TFloat32> bucket = sorted.buckets(); // [G, N, C, 1]
    Operand<TFloat32> place = sorted.places(); // [1, N, C, 1]
    Operand<TFloat32> bucketOfKeys = sorted.keys(bucket); // [G, N, 1, 2C]
    Operand<TFloat32> placeOfKeys = sorted.keys(place);
    var isReal = tf.math.less(bucketOfKeys, tf.constant((float) config.buckets()));
    var seen = seen(sorted, bucket, bucketOfKeys, place, placeOfKeys);
    var allowed = tf.math.logicalAnd(isReal, seen); // [G, N, C, 2C]
    Operand<T> scores = products;
    if (config.rounds() > 1) {
      Operand<TFloat32> times = tf.math.maximum(timesSeen(tf, sorted), tf.constant(1f));
      scores = tf.math.sub(scores, tf.math.log(a.cast(times)));
    }
    var isSelf = tf.math.equal(place, placeOfKeys); // [1, N, C, 2C]
    scores = tf.select(isSelf, a.constant(SELF), scores);
    return tf.select(allowed, scores, a.constant(NOTHING));
  }

  /** In how many rounds a query sees a key, {@code [G, N, C, 2C]}. */
  private Operand<TFloat32> timesSeen(Ops tf, SortedChunks.Sorted sorted) {
    List<Operand<TFloat32>> all = new ArrayList<>();
    Operand<TFloat32> inRounds = sorted.inRounds(); // [G, N, C, 2R]
    int r = config.rounds();
    for (int round = 0; round < r; round++) {
      Operand<TFloat32> bucket = column(tf, inRounds, round); // [G, N, C, 1]
      Operand<TFloat32> place = column(tf, inRounds, r + round);
      var seen = seen(sorted, bucket, sorted.keys(bucket), place, sorted.keys(place));
      all.add(tf.dtypes.cast(seen, TFloat32.class));
    }
    return tf.math.addN(all);
  }

  private static Operand<TFloat32> column(Ops tf, Operand<TFloat32> x, int column) {
    return tf.slice(x, tf.array(0, 0, 0, column), tf.array(-1, -1, -1, 1));
  }

  /** Whether a query finds a key, by bucket and place in the order of a round. */
  private Operand<TBool> seen(
      SortedChunks.Sorted sorted,
      Operand<TFloat32> bucket,
      Operand<TFloat32> bucketOfKey,
      Operand<TFloat32> place,
      Operand<TFloat32> placeOfKey) {
    Ops tf = sorted.tf();
    Operand<TFloat32> chunk = sorted.chunk();
    Operand<TFloat32> back; // how far back the key is, in places or in chunks
    Operand<TFloat32> most;
    if (causal) {
      back = tf.math.sub(place, placeOfKey);
      most = chunk;
    } else {
      var floor = tf.math.floor(tf.math.div(place, chunk));
      back = tf.math.sub(floor, tf.math.floor(tf.math.div(placeOfKey, chunk)));
      most = tf.constant(1f);
    }
    var isBack = tf.math.greaterEqual(back, tf.constant(0f));
    var isNear = tf.math.logicalAnd(isBack, tf.math.lessEqual(back, most));
    return tf.math.logicalAnd(tf.math.equal(bucket, bucketOfKey), isNear);
  }

  /**
   * Outputs of rounds, {@code [B, H, R, Lp, V]}, by the shares that their keys have, of logarithms
   * {@code [B, H, R, Lp, 1]}: {@code [B, H, Lp, V]}.
   */
  private static <T extends TFloating> Operand<T> joined(
      Algebra<T> a, Operand<T> out, Operand<T> logSum) {
    Ops tf = a.tf();
    Operand<T> exp = tf.math.exp(tf.math.sub(logSum, tf.stopGradient(a.max(logSum, 2))));
    Operand<T> share = tf.math.div(exp, a.sum(exp, 2));
    return tf.sum(tf.math.mul(out, share), tf.array(2));
  }
}
