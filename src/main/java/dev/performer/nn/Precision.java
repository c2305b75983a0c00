package dev.performer.nn;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;

/** In what the products of dense layers are computed; variables are float32 in any case. */
public enum Precision {
  @JsonProperty("float32")
  FLOAT32,
  /** Both factors, and so both factors of each gradient, are rounded to 8 significant bits. */
  @JsonProperty("bfloat16")
  BFLOAT16;

  /** {@code [..., K]} times {@code [K, N]} as one product. */
  Operand<TFloat32> times(
      Ops tf, Operand<TFloat32> x, Operand<TFloat32> matrix, int inner, int outer) {
    Operand<TFloat32> rows = tf.reshape(x, tf.constant(new int[] {-1, inner})); // [rows, K]
    return Algebra.withLast(tf, product(tf, rows, matrix), x, outer);
  }

  private Operand<TFloat32> product(Ops tf, Operand<TFloat32> x, Operand<TFloat32> matrix) {
    if (this == FLOAT32) {
      return tf.linalg.matMul(x, matrix);
    }
    Operand<TBfloat16> product =
        tf.linalg.matMul(
            tf.dtypes.cast(x, TBfloat16.class), tf.dtypes.cast(matrix, TBfloat16.class));
    return tf.dtypes.cast(product, TFloat32.class);
  }
}
