package dev.performer.attention;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * How a length is cut into N chunks of C: in the graph where the length is not known when it is
 * built.
 *
 * @param length L, {@code [1]}
 * @param chunk C, {@code [1]}; never longer than L
 * @param count N, {@code [1]}
 * @param knownLength L, or -1
 */
record Chunks(
    Ops tf,
    Operand<TInt32> length,
    Operand<TInt32> chunk,
    Operand<TInt32> count,
    long knownLength) {

  static Chunks of(Ops tf, Operand<?> queries, int longest) {
    long known = queries.shape().get(2);
    if (known >= 0) {
      int c = (int) Math.max(1, Math.min(longest, known));
      int n = (int) ((known + c - 1) / c);
      return new Chunks(tf, vector(tf, (int) known), vector(tf, c), vector(tf, n), known);
    }
    Operand<TInt32> length = Algebra.sizes(tf, queries, 2, 3);
    Operand<TInt32> one = vector(tf, 1);
    Operand<TInt32> chunk = tf.math.maximum(one, tf.math.minimum(vector(tf, longest), length));
    Operand<TInt32> count =
        tf.math.floorDiv(tf.math.sub(tf.math.add(length, chunk), one), chunk); // rounded up
    return new Chunks(tf, length, chunk, count, known);
  }

  /** Cuts or pads {@code [B, H, S, X]} to N·C positions, then {@code [B, H, N, C, X]}. */
  <T extends TFloating> Operand<T> split(Operand<T> x) {
    int last = (int) Algebra.size(x, 3, "the last size");
    Operand<TInt32> outer = Algebra.sizes(tf, x, 0, 2);
    Operand<TInt32> kept = tf.math.minimum(Algebra.sizes(tf, x, 2, 3), length);
    boolean whole = knownLength >= 0 && x.shape().get(2) == knownLength;
    Operand<T> cut = whole ? x : firstPositions(x, kept, last);
    Operand<TInt32> missing = tf.math.sub(tf.math.mul(chunk, count), kept);
    Operand<TInt32> paddings =
        tf.reshape(
            join(tf.constant(new int[5]), missing, tf.constant(new int[2])),
            tf.constant(new int[] {4, 2}));
    Operand<T> padded = tf.pad(cut, paddings, Algebra.of(tf, x).constant(0));
    return tf.reshape(padded, join(outer, count, chunk, vector(tf, last)));
  }

  /** Undoes {@link #split}: {@code [B, H, N, C, X]} to {@code [B, H, L, X]}. */
  <T extends TFloating> Operand<T> join(Operand<T> x) {
    int last = (int) Algebra.size(x, 4, "the last size");
    Operand<TInt32> outer = Algebra.sizes(tf, x, 0, 2);
    Operand<T> all = tf.reshape(x, join(outer, tf.constant(new int[] {-1, last})));
    return firstPositions(all, length, last);
  }

  private <T extends TFloating> Operand<T> firstPositions(
      Operand<T> x, Operand<TInt32> positions, int last) {
    return tf.slice(
        x, tf.constant(new int[4]), join(Algebra.sizes(tf, x, 0, 2), positions, vector(tf, last)));
  }

  @SafeVarargs
  private Operand<TInt32> join(Operand<TInt32>... parts) {
    return tf.concat(List.of(parts), tf.constant(0));
  }

  private static Operand<TInt32> vector(Ops tf, int value) {
    return tf.constant(new int[] {value});
  }
}
