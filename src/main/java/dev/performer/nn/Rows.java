package dev.performer.nn;

import java.util.Arrays;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Sizes and reshapes that keep every size known that can be. */
final class Rows {
  private Rows() {}

  /** {@code [..., K]} times {@code [K, N]} as one product. */
  static Operand<TFloat32> times(
      Ops tf,
      Operand<TFloat32> x,
      Operand<TFloat32> matrix,
      int inner,
      int outer,
      Precision precision) {
    Operand<TFloat32> rows = tf.reshape(x, tf.constant(new int[] {-1, inner})); // [rows, K]
    return withLast(tf, precision.product(tf, rows, matrix), x, outer);
  }

  /** Reshapes to the shape of {@code like} with other sizes in place of its last one. */
  static Operand<TFloat32> withLast(Ops tf, Operand<TFloat32> x, Operand<?> like, int... last) {
    long[] known = like.shape().asArray();
    int leading = known.length - 1;
    if (Arrays.stream(known).limit(leading).filter(n -> n < 0).count() <= 1) {
      int[] target = new int[leading + last.length];
      for (int i = 0; i < leading; i++) {
        target[i] = (int) known[i];
      }
      System.arraycopy(last, 0, target, leading, last.length);
      return tf.reshape(x, tf.constant(target));
    }
    return tf.reshape(
        x, tf.concat(List.of(sizes(tf, like, 0, leading), tf.constant(last)), tf.constant(0)));
  }

  /** Sizes of axes {@code from} to {@code to}, excluded. */
  static Operand<TInt32> sizes(Ops tf, Operand<?> x, int from, int to) {
    return tf.stridedSlice(
        tf.shape(x),
        tf.constant(new int[] {from}),
        tf.constant(new int[] {to}),
        tf.constant(new int[] {1}));
  }
}
