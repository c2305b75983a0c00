package dev.performer.model;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TNumber;

/** What is done to tokens and masks before a model reads them. */
final class Sequences {
  private Sequences() {}

  /** {@code 0 … L-1}. */
  static Operand<TInt32> positions(Ops tf, Operand<TInt32> tokens, int more) {
    Operand<TInt32> length = tf.squeeze(Algebra.sizes(tf, tokens, 1, 2));
    return tf.range(tf.constant(0), tf.math.add(length, tf.constant(more)), tf.constant(1));
  }

  /** {@code first} in front, and the last column dropped. */
  static <T extends TNumber> Operand<T> shifted(Ops tf, Operand<T> x, Operand<T> first) {
    Operand<T> kept =
        tf.slice(
            x,
            tf.constant(new int[] {0, 0}),
            tf.math.sub(tf.shape(x), tf.constant(new int[] {0, 1})));
    return inFront(tf, kept, x, first);
  }

  /** A column of {@code first} in front of {@code x}, {@code [B, L]}. */
  static <T extends TNumber> Operand<T> inFront(Ops tf, Operand<T> x, Operand<T> first) {
    return inFront(tf, x, x, first);
  }

  private static <T extends TNumber> Operand<T> inFront(
      Ops tf, Operand<T> x, Operand<T> rows, Operand<T> first) {
    Operand<TInt32> shape =
        tf.concat(
            List.of(Algebra.sizes(tf, rows, 0, 1), tf.constant(new int[] {1})), tf.constant(0));
    return tf.concat(List.of(tf.fill(shape, first), x), tf.constant(1));
  }

  /** 1 where a token is not padding; null if no token is. */
  static Operand<TFloat32> maskOf(Ops tf, Operand<TInt32> tokens, Integer padId) {
    return padId == null
        ? null
        : tf.dtypes.cast(tf.math.notEqual(tokens, tf.constant((int) padId)), TFloat32.class);
  }
}
