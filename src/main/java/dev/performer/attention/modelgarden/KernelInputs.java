package dev.performer.attention.modelgarden;

import dev.performer.attention.Attention;
import dev.performer.attention.FeatureMap;
import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.StridedSlice;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * What one pass of {@link KernelAttention} works on.
 *
 * @param algebra of the graph
 * @param queries {@code [B, H, T, D]}
 * @param keys {@code [B, H, S, D]}
 * @param values {@code [B, H, S, V]}
 * @param keyMask {@code [B, S]} or null
 * @param projection {@code [M, D]} or null
 */
record KernelInputs<T extends TFloating>(
    Algebra<T> algebra,
    Operand<T> queries,
    Operand<T> keys,
    Operand<T> values,
    Operand<T> keyMask,
    Operand<T> projection) {

  /** From queries, keys and values as callers have them: {@code [B, T, H, ·]}. */
  static <T extends TFloating> KernelInputs<T> of(
      Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> keyMask, Operand<T> projection) {
    return new KernelInputs<>(
        Algebra.of(tf, q),
        Attention.swapPositionsAndHeads(tf, q),
        Attention.swapPositionsAndHeads(tf, k),
        Attention.swapPositionsAndHeads(tf, v),
        keyMask,
        projection);
  }

  /** Features with those of masked keys zeroed. */
  FeatureMap.Features<T> masked(FeatureMap.Features<T> features) {
    return keyMask == null ? features : features.masked(algebra.tf(), keyMask);
  }

  /** With the first {@code count} queries, or all if there are fewer. */
  KernelInputs<T> firstQueries(int count) {
    return withQueries(0, count, 0b1011);
  }

  /** With the queries from one on; none if there are not so many. */
  KernelInputs<T> queriesFrom(int first) {
    return withQueries(first, 0, 0b1111);
  }

  private KernelInputs<T> withQueries(int begin, int end, long openEnds) {
    Ops tf = algebra.tf();
    Operand<TInt32> ones = tf.constant(new int[] {1, 1, 1, 1});
    Operand<T> some =
        tf.stridedSlice(
            queries,
            tf.constant(new int[] {0, 0, begin, 0}),
            tf.constant(new int[] {0, 0, end, 0}),
            ones,
            StridedSlice.endMask(openEnds),
            StridedSlice.beginMask(0L)); // [B, H, T', D]
    return new KernelInputs<>(algebra, some, keys, values, keyMask, projection);
  }
}
