package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.types.family.TFloating;

/**
 * The sums of linear attention as the paper prints them (equations 2 and 5; causal, section 2.5.1),
 * in logarithms and quadratic in the length: the reference form, to be read and to test by. {@link
 * LinearAttention} computes the same in linear time.
 *
 * <pre>
 *   A_ij = Σ_r φ_r(q_i) φ_r(k_j),   j ≤ i where attention is causal
 *   out_i = Σ_j A_ij v_j / Σ_j A_ij
 * </pre>
 */
public final class NaiveLinearAttention {
  private NaiveLinearAttention() {}

  /**
   * Attends.
   *
   * @param q log φ(q), {@code [B, H, L, R]}
   * @param k log φ(k), {@code [B, H, S, R]}
   * @param v {@code [B, H, S, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @param causal whether query l sees keys 0 … l only
   * @return {@code [B, H, L, V]}; 0 for a query that sees no key
   */
  public static <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> keyMask, boolean causal) {
    Algebra<T> a = Algebra.of(tf, q);
    Operand<T> products =
        tf.math.add(
            tf.expandDims(q, tf.constant(3)),
            tf.expandDims(k, tf.constant(2))); // log φ_r(q_i) φ_r(k_j), [B, H, L, S, R]
    Operand<T> largest = tf.stopGradient(a.max(products, 4)); // [B, H, L, S, 1]
    Operand<T> sums = a.sum(tf.math.exp(tf.math.sub(products, largest)), 4);
    Operand<T> logWeights =
        tf.squeeze(
            tf.math.add(tf.math.log(sums), largest),
            Squeeze.axis(List.of(4L))); // log A, [B, H, L, S]
    return a.matMul(new ExactAttention(causal).normalized(a, logWeights, q, k, keyMask), v);
  }
}
