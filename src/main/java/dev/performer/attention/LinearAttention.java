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

  /**
   * Every query sees every kept key.
   *
   * @param q φ(q), {@code [B, H, L, R]}
   * @param k φ(k), {@code [B, H, S, R]}
   * @param v {@code [B, H, S, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @param denominator how to divide
   * @return {@code [B, H, L, V]}
   */
  public static <T extends TFloating> Operand<T> bidirectional(
      Ops tf,
      Operand<T> q,
      Operand<T> k,
      Operand<T> v,
      Operand<T> keyMask,
      Denominator denominator) {
    return read(tf, q, state(tf, k, v, keyMask), denominator);
  }

  /**
   * {@code Σ_j [v_j | 1] φ(k_j)ᵀ}: all that queries need of the keys and values.
   *
   * @return {@code [B, H, V+1, R]}
   */
  public static <T extends TFloating> Operand<T> state(
      Ops tf, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    // Transposing the narrow side is twice as fast as transposing features, backward too.
    return Algebra.of(tf, keys).transposedMatMul(withOnes(tf, values, keyMask), keys);
  }

  /**
   * Outputs of queries that see one state.
   *
   * @param queries φ(q), {@code [B, H, L, R]}
   * @param state {@code [B, H, V+1, R]}
   * @return {@code [B, H, L, V]}
   */
  public static <T extends TFloating> Operand<T> read(
      Ops tf, Operand<T> queries, Operand<T> state, Denominator denominator) {
    return divided(tf, Algebra.of(tf, queries).matMulTransposed(queries, state), denominator);
  }

  /**
   * Query l sees keys 0 … l: the exact triangle inside a chunk, an exclusive prefix sum of states
   * across chunks. Keys beyond the last query are never seen; missing keys count for nothing.
   *
   * @param queries φ(q), {@code [B, H, L, R]}
   * @param keys φ(k), {@code [B, H, S, R]}
   * @param values {@code [B, H, S, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @param denominator how to divide
   * @param chunk C
   * @return {@code [B, H, L, V]}
   * @see <a href="https://arxiv.org/abs/2009.14794">Performers, section 2.5.1 and algorithm 1</a>
   */
  public static <T extends TFloating> Operand<T> causal(
      Ops tf,
      Operand<T> queries,
      Operand<T> keys,
      Operand<T> values,
      Operand<T> keyMask,
      Denominator denominator,
      int chunk) {
    Algebra<T> a = Algebra.of(tf, queries);
    Chunks chunks = Chunks.of(tf, queries, chunk);
    Operand<T> q = chunks.split(queries); // [B, H, N, C, R]
    Operand<T> k = chunks.split(keys); // [B, H, N, C, R]
    Operand<T> v = chunks.split(withOnes(tf, values, keyMask)); // [B, H, N, C, V+1]
    var states = chunks.contain(a.transposedMatMul(v, k)); // [B, H, N, V+1, R]
    Operand<T> before = chunks.exclusivePrefixSum(states.clean()); // [B, H, N, V+1, R]
    Operand<T> scores = a.matMulTransposed(q, k); // [B, H, N, C, C]
    Operand<T> triangle = tf.linalg.bandPart(scores, tf.constant(-1L), tf.constant(0L));
    Operand<T> earlier = tf.math.add(a.matMulTransposed(q, before), states.poison());
    Operand<T> sums = tf.math.add(a.matMul(triangle, v), earlier); // [B, H, N, C, V+1]
    return divided(tf, chunks.join(sums), denominator);
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
  private static <T extends TFloating> Operand<T> withOnes(
      Ops tf, Operand<T> values, Operand<T> keyMask) {
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
  public static <T extends TFloating> Operand<T> divided(
      Ops tf, Operand<T> sums, Denominator denominator) {
    long size = Algebra.size(sums, -1, "the value size");
    int axis = sums.shape().numDimensions() - 1;
    var sizes = tf.constant(new long[] {size - 1, 1});
    var parts = tf.splitV(sums, sizes, tf.constant(axis), 2L).output();
    return denominator.divide(tf, parts.get(0), parts.get(1));
  }
}
