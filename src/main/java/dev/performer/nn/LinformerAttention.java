package dev.performer.nn;

import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.LinearAttention;
import dev.performer.graph.Algebra;
import java.util.List;
import java.util.function.UnaryOperator;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;

/**
 * Linformer's attention, a baseline: softmax over k mixtures of keys and of values, which learned
 * matrices make of all positions. Bidirectional only: every mixture holds the future. Heads share
 * the matrices; a sequence of S positions takes the first S columns, and padding counts as zero.
 *
 * @param keyProjection E, {@code [k, longest S]}
 * @param valueProjection F, {@code [k, longest S]}
 * @see <a href="https://arxiv.org/abs/2006.04768">Linformer, equation 7</a>
 */
public record LinformerAttention(Operand<?> keyProjection, Operand<?> valueProjection)
    implements Attention {
  @Override
  public <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    return FavorAttention.isNarrow(queries.type())
        ? FavorAttention.widened(this, tf, queries, keys, values, keyMask)
        : attend(tf, queries, keys, values, keyMask, weights -> weights);
  }

  /** The same with something done to the weights of mixtures, as dropout does. */
  <T extends TFloating> Operand<T> attend(
      Ops tf,
      Operand<T> queries,
      Operand<T> keys,
      Operand<T> values,
      Operand<T> keyMask,
      UnaryOperator<Operand<T>> onWeights) {
    Algebra<T> a = Algebra.of(tf, queries);
    Operand<T> mixed = a.matMul(columns(a, valueProjection, values, keyMask), values);
    Operand<T> weights = weights(a, queries, keys, keyMask);
    return a.matMul(onWeights.apply(weights), mixed); // [B, H, L, V]
  }

  /** The weights of the mixtures, {@code [B, H, L, k]}. */
  private <T extends TFloating> Operand<T> weights(
      Algebra<T> a, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Operand<T> mixed = a.matMul(columns(a, keyProjection, keys, keyMask), keys); // [B, H, k, D]
    return new ExactAttention(false).weights(a.tf(), queries, mixed, null);
  }

  /** A matrix as long as {@code like}, {@code [k, S]}; with a mask {@code [B, 1, k, S]}. */
  private static <T extends TFloating> Operand<T> columns(
      Algebra<T> a, Operand<?> projection, Operand<T> like, Operand<T> keyMask) {
    Ops tf = a.tf();
    @SuppressWarnings("unchecked")
    Operand<T> matrix = a.cast((Operand<? extends TFloating>) projection);
    var rows = tf.array((int) Algebra.size(matrix, 0, "the number of mixtures"));
    var sizes = tf.concat(List.of(rows, LinearAttention.length(tf, like)), tf.constant(0));
    Operand<T> columns = tf.slice(matrix, tf.array(0, 0), sizes); // [k, S]
    return keyMask == null
        ? columns
        : tf.math.mul(
            columns, tf.expandDims(tf.expandDims(keyMask, tf.constant(1)), tf.constant(1)));
  }
}
