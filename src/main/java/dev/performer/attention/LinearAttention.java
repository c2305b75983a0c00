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
 * The sums of linear attention over features: {@code out_i = Σ_j φ(q_i)·φ(k_j) v_j / Σ_j
 * φ(q_i)·φ(k_j)}. Values get a column of ones, so one product gives numerator and denominator, and
 * the key mask multiplies that narrow side of it.
 */
public final class LinearAttention {
  private LinearAttention() {}

  /** How the weighted sum of values becomes a weighted mean, and what guards the division. */
  public sealed interface Denominator {
    /** No division: the weighted sum itself ({@code renormalize_attention=False}, Google's JAX). */
    record Absent() implements Denominator {}

    /** Plain division (Google's TF code). */
    record Unguarded() implements Denominator {}

    /** {@code epsilon} is always added (Model Garden). */
    record AddAlways(double epsilon) implements Denominator {}

    /** Where |denominator| ≤ threshold, twice the threshold is added (Google's JAX code). */
    record AddNearZero(double threshold) implements Denominator {}

    /**
     * Where |denominator| ≤ threshold, the output and its gradients are 0 (ours): a query that has
     * no key, or none within reach of float32.
     */
    record ZeroBelow(double threshold) implements Denominator {}

    /** The same guard with another ε or threshold; plain division then adds it always. */
    default Denominator withEpsilon(double epsilon) {
      if (this instanceof AddNearZero) {
        return new AddNearZero(epsilon);
      }
      return this instanceof ZeroBelow ? new ZeroBelow(epsilon) : new AddAlways(epsilon);
    }

    /** {@code [..., V]} of a numerator {@code [..., V]} and a denominator {@code [..., 1]}. */
    default <T extends TFloating> Operand<T> divide(
        Ops tf, Operand<T> numerator, Operand<T> denominator) {
      Algebra<T> a = Algebra.of(tf, numerator);
      Operand<T> guarded = denominator;
      if (this instanceof Absent) {
        return numerator;
      } else if (this instanceof AddAlways add) {
        guarded = tf.math.add(denominator, a.constant(add.epsilon()));
      } else if (this instanceof AddNearZero near) {
        var isNear = a.atMost(denominator, near.threshold());
        guarded = tf.math.add(denominator, a.where(isNear, 2 * near.threshold(), 0));
      } else if (this instanceof ZeroBelow zero) {
        var empty = a.atMost(denominator, zero.threshold());
        Operand<T> safe = tf.select(empty, a.constant(1), denominator);
        Operand<T> inverse = tf.select(empty, a.constant(0), reciprocal(a, safe)); // [..., 1]
        return tf.math.mul(numerator, inverse);
      }
      return tf.math.mul(numerator, reciprocal(a, guarded));
    }

    /**
     * {@code 1/x} whose gradient never holds {@code 1/x²}, which overflows for x below 1e-19
     * although the gradient of the whole quotient does not.
     */
    private static <T extends TFloating> Operand<T> reciprocal(Algebra<T> a, Operand<T> x) {
      Ops tf = a.tf();
      Operand<T> inverse = tf.stopGradient(tf.math.reciprocal(x));
      return tf.math.mul(inverse, tf.math.reciprocal(tf.math.mul(x, inverse)));
    }
  }

  /**
   * Every query sees every kept key.
   *
   * @param q φ(q), {@code [B, H, L, R]}
   * @param k φ(k), {@code [B, H, S, R]}
   * @param v {@code [B, H, S, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @return {@code [B, H, L, V]}
   */
  public static <T extends TFloating> Operand<T> bidirectional(
      Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> keyMask, Denominator by) {
    return read(tf, q, state(tf, k, v, keyMask), by);
  }

  /** {@code Σ_j [v_j | 1] φ(k_j)ᵀ}: all that queries need, {@code [B, H, V+1, R]}. */
  public static <T extends TFloating> Operand<T> state(
      Ops tf, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    // Transposing the narrow side is twice as fast as transposing features, backward too.
    return Algebra.of(tf, keys).transposedMatMul(withOnes(tf, values, keyMask), keys);
  }

  /** Outputs of φ(q), {@code [B, H, L, R]}, that see one state: {@code [B, H, L, V]}. */
  public static <T extends TFloating> Operand<T> read(
      Ops tf, Operand<T> queries, Operand<T> state, Denominator by) {
    return divided(tf, Algebra.of(tf, queries).matMulTransposed(queries, state), by);
  }

  /**
   * Query l sees keys 0 … l: the exact triangle inside a chunk, an exclusive prefix sum of states
   * across chunks. Keys beyond the last query are never seen; missing keys count for nothing.
   *
   * @param q φ(q), {@code [B, H, L, R]}
   * @param k φ(k), {@code [B, H, S, R]}
   * @param v {@code [B, H, S, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @param c C, the chunk length
   * @param earlier {@link #state} of positions before these, or null
   * @return {@code [B, H, L, V]}
   */
  public static <T extends TFloating> Operand<T> causal(
      Ops tf,
      Operand<T> q,
      Operand<T> k,
      Operand<T> v,
      Operand<T> keyMask,
      Denominator by,
      int c,
      Operand<T> earlier) {
    return divided(tf, causalSums(tf, q, k, v, keyMask, c, earlier), by);
  }

  /**
   * The same before the division, {@code [B, H, L, V+1]}.
   *
   * @see <a href="https://arxiv.org/abs/2009.14794">Performers, section 2.5.1 and algorithm 1</a>
   */
  static <T extends TFloating> Operand<T> causalSums(
      Ops tf,
      Operand<T> q,
      Operand<T> k,
      Operand<T> v,
      Operand<T> keyMask,
      int c,
      Operand<T> earlier) {
    Algebra<T> a = Algebra.of(tf, q);
    Chunks chunks = Chunks.of(tf, q, c);
    Operand<T> qs = chunks.split(q); // [B, H, N, C, R]
    Operand<T> ks = chunks.split(k); // [B, H, N, C, R]
    Operand<T> vs = chunks.split(withOnes(tf, v, keyMask)); // [B, H, N, C, V+1]
    Operand<T> states = a.transposedMatMul(vs, ks); // [B, H, N, V+1, R]
    // An overflow is kept from the chunks before it, and shows as NaN in those after it.
    Operand<TBool> finite = tf.math.isFinite(a.sum(states, 3, 4)); // [B, H, N, 1, 1]
    Operand<T> overflow = a.where(finite, 0, Double.NaN);
    Operand<T> clean = tf.select(finite, states, a.constant(0));
    Operand<T> poison = tf.math.cumsum(overflow, tf.constant(2), Cumsum.exclusive(true));
    Operand<T> before = chunks.exclusivePrefixSum(clean); // [B, H, N, V+1, R]
    if (earlier != null) {
      before = tf.math.add(before, tf.expandDims(earlier, tf.constant(2)));
    }
    Operand<T> scores = a.matMulTransposed(qs, ks); // [B, H, N, C, C]
    Operand<T> triangle = tf.linalg.bandPart(scores, tf.constant(-1L), tf.constant(0L));
    Operand<T> seen = tf.math.add(a.matMulTransposed(qs, before), poison);
    return chunks.join(tf.math.add(a.matMul(triangle, vs), seen));
  }

  /**
   * The chunk length where none is given: near the optimum of memory traffic against work in the
   * triangle, a power of two from 64 to 256.
   */
  static int defaultChunk(long r, long v) {
    double best = 0.6 * Math.sqrt((double) r * v);
    long power = 1L << Math.max(0, Math.round(Math.log(best) / Math.log(2)));
    return (int) Math.min(256, Math.max(64, power));
  }

  /** {@code [v | 1]}, both multiplied by the mask. */
  static <T extends TFloating> Operand<T> withOnes(Ops tf, Operand<T> values, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, values);
    Operand<T> all = a.concat(-1, List.of(values, a.onesColumn(values))); // [B, H, S, V+1]
    return keyMask == null ? all : tf.math.mul(all, maskColumn(tf, keyMask));
  }

  /** {@code [B, S]} as {@code [B, 1, S, 1]}. */
  public static <T extends TFloating> Operand<T> maskColumn(Ops tf, Operand<T> keyMask) {
    return tf.expandDims(tf.expandDims(keyMask, tf.constant(1)), tf.constant(3));
  }

  /** The number of positions of {@code [B, H, L, X]}, as {@code [1]}. */
  public static Operand<TInt32> length(Ops tf, Operand<?> x) {
    return Algebra.sizes(tf, x, 2, 3);
  }

  /** Splits {@code [numerator | denominator]} and divides. */
  public static <T extends TFloating> Operand<T> divided(Ops tf, Operand<T> sums, Denominator by) {
    long size = Algebra.size(sums, -1, "the value size");
    int axis = sums.shape().numDimensions() - 1;
    var parts = tf.splitV(sums, tf.array((int) size - 1, 1), tf.constant(axis), 2L).output();
    return by.divide(tf, parts.get(0), parts.get(1));
  }

  /**
   * How a length is cut into N = K·G chunks of C, K groups of G: in the graph where the length is
   * not known when it is built. Every size is a {@code [1]}.
   */
  private record Chunks(
      Ops tf,
      Operand<TInt32> length, // L
      Operand<TInt32> chunk, // C; never longer than L
      Operand<TInt32> groups, // K
      Operand<TInt32> perGroup, // G, at most 64
      long knownLength, // L, or -1
      boolean oneGroup) { // whether K is known to be 1
    private static final int LARGEST_GROUP = 64;

    static Chunks of(Ops tf, Operand<?> queries, int longest) {
      long known = queries.shape().get(2);
      if (known >= 0) {
        int c = (int) Math.max(1, Math.min(longest, known));
        int n = (int) Math.max(1, (known + c - 1) / c);
        int k = (n + LARGEST_GROUP - 1) / LARGEST_GROUP;
        var length = tf.array((int) known);
        var perGroup = (n + k - 1) / k;
        return new Chunks(tf, length, tf.array(c), tf.array(k), tf.array(perGroup), known, k == 1);
      }
      Operand<TInt32> length = Algebra.sizes(tf, queries, 2, 3);
      Operand<TInt32> one = tf.array(1);
      Operand<TInt32> chunk = tf.math.maximum(one, tf.math.minimum(tf.array(longest), length));
      Operand<TInt32> chunks = tf.math.maximum(one, roundedUp(tf, length, chunk));
      Operand<TInt32> groups = roundedUp(tf, chunks, tf.array(LARGEST_GROUP));
      return new Chunks(tf, length, chunk, groups, roundedUp(tf, chunks, groups), known, false);
    }

    private static Operand<TInt32> roundedUp(Ops tf, Operand<TInt32> x, Operand<TInt32> by) {
      return tf.math.floorDiv(tf.math.sub(tf.math.add(x, by), tf.array(1)), by);
    }

    private Operand<TInt32> count() {
      return tf.math.mul(groups, perGroup);
    }

    /**
     * The sum of all chunks before each: in a group a product with a triangle of ones, several
     * times faster than a scan of such wide rows, and a scan over the few groups.
     *
     * @param states {@code [B, H, N, V+1, R]}, all finite: 0 times infinity would reach the past
     */
    <T extends TFloating> Operand<T> exclusivePrefixSum(Operand<T> states) {
      Algebra<T> a = Algebra.of(tf, states);
      int x = (int) Algebra.size(states, 3, "the value size");
      int y = (int) Algebra.size(states, 4, "the number of features");
      Operand<TInt32> outer = Algebra.sizes(tf, states, 0, 2);
      var sizes = shape(List.of(outer, groups, perGroup, tf.array(x * y)));
      Operand<T> grouped = tf.reshape(states, sizes); // [B, H, K, G, XY]
      Operand<T> ones = tf.fill(shape(List.of(perGroup, perGroup)), a.constant(1));
      // [G, G], 1 strictly below the diagonal
      Operand<T> before = tf.stopGradient(tf.math.sub(band(ones, -1), band(ones, 0)));
      Operand<T> inGroup = a.matMul(before, grouped); // [B, H, K, G, XY]
      if (!oneGroup) {
        var carried = tf.math.cumsum(a.sum(grouped, 3), tf.constant(2), Cumsum.exclusive(true));
        inGroup = tf.math.add(inGroup, carried); // [B, H, K, 1, XY] to every chunk of a group
      }
      return tf.reshape(inGroup, shape(List.of(outer, count(), tf.array(x, y))));
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
      var flat = shape(List.of(tf.array(0, 0, 0, 0, 0), missing, tf.array(0, 0)));
      Operand<TInt32> paddings = tf.reshape(flat, tf.array(4, 2));
      Operand<T> padded = tf.pad(cut, paddings, Algebra.of(tf, x).constant(0));
      return tf.reshape(padded, shape(List.of(outer, count(), chunk, tf.array(last))));
    }

    /** Undoes {@link #split}: {@code [B, H, N, C, X]} to {@code [B, H, L, X]}. */
    <T extends TFloating> Operand<T> join(Operand<T> x) {
      int last = (int) Algebra.size(x, 4, "the last size");
      Operand<TInt32> outer = Algebra.sizes(tf, x, 0, 2);
      Operand<T> all = tf.reshape(x, shape(List.of(outer, tf.array(-1, last))));
      return firstPositions(all, length, last);
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
}
