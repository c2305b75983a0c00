package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
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
    return causal(tf, q, k, v, keyMask, null, by, c, earlier);
  }

  /**
   * The same with {@link Gate gates}: what is left of key j at query l is the product of those of
   * positions j+1 … l, and of the earlier state that of all up to l.
   *
   * @param logGates logarithms of the gates, {@code [B, H, S, 1]}, none positive; that of a masked
   *     position does not count; null for no gates
   */
  public static <T extends TFloating> Operand<T> causal(
      Ops tf,
      Operand<T> q,
      Operand<T> k,
      Operand<T> v,
      Operand<T> keyMask,
      Operand<T> logGates,
      Denominator by,
      int c,
      Operand<T> earlier) {
    Operand<T> values = withOnes(tf, v, keyMask); // [B, H, S, V+1]
    Operand<T> logs = logGates == null ? null : Decay.counted(tf, logGates, keyMask);
    return divided(tf, ChunkSums.of(q, k, values, c).add(tf, q, k, values, logs, earlier), by);
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
    Operand<T> values = withOnes(tf, v, keyMask); // [B, H, S, V+1]
    return ChunkSums.of(q, k, values, c).add(tf, q, k, values, null, earlier);
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
}
