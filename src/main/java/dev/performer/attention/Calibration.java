package dev.performer.attention;

import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * Where the features of {@link Kernel#isCalibrated calibrated} kernels lie in each head, in units
 * of {@code x' = x/D^¼}. A head count of 1 stands for all heads.
 *
 * @param amounts A, a diagonal of each head, {@code [H, D]}, below 1/8
 * @param queryCentre c_q, {@code [H, D]}
 * @param keyCentre c_k, {@code [H, D]}
 * @param directions {@code ω √(1−4A) Uᵀ} of each row ω of P, {@code [H, M, D]}
 */
public record Calibration(
    Operand<? extends TNumber> amounts,
    Operand<? extends TNumber> queryCentre,
    Operand<? extends TNumber> keyCentre,
    Operand<? extends TNumber> directions) {
  /** Of some heads. */
  public Calibration some(Ops tf, int first, int count) {
    return new Calibration(
        rows(tf, amounts, first, count),
        rows(tf, queryCentre, first, count),
        rows(tf, keyCentre, first, count),
        tf.slice(directions, tf.array(first, 0, 0), tf.array(count, -1, -1)));
  }

  private static <T extends TNumber> Operand<T> rows(Ops tf, Operand<T> x, int first, int count) {
    return tf.slice(x, tf.array(first, 0), tf.array(count, -1));
  }

  /**
   * {@code ω √(1−4A) Uᵀ}, {@code [H, M, D]}.
   *
   * @param projection P, {@code [M, D]}
   * @param amounts A, {@code [H, D]}
   * @param basis U, {@code [H, D, D]}, orthogonal, one direction a column
   */
  public static <T extends TFloating> Operand<T> directions(
      Ops tf, Operand<T> projection, Operand<T> amounts, Operand<T> basis) {
    Algebra<T> a = Algebra.of(tf, projection);
    Operand<T> slopes = tf.math.sqrt(a.plus(a.times(amounts, -4), 1)); // [H, D]
    Operand<T> stretched =
        tf.math.mul(
            tf.expandDims(projection, tf.constant(0)), tf.expandDims(slopes, tf.constant(1)));
    return a.matMulTransposed(stretched, basis); // [H, M, D]
  }
}
