package dev.performer.study;

import dev.performer.attention.Kernel;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat64;

/**
 * The expected squared error of FAVOR+'s output, in closed form, to first order in 1/M, for
 * independent Gaussian directions (iid, chi).
 *
 * <p>With exact weights a, output o and x = q/D^¼, y = k/D^¼, the error of query i is the sum over
 * m of a_j (f(x, y_j) / exp(x·y_j)) (v_j − o) / M, whose mean is 0; so its expected square is
 * {@code (1/M) Σ_jl a_j a_l c_jl (v_j−o)·(v_l−o)} with {@code c_jl = E[f_j f_l] / (exp(x·y_j)
 * exp(x·y_l))}: {@code exp(z_j·z_l)} for positive features with z = x + y, {@code cosh(z_j·z_l)}
 * for hyperbolic ones, {@code cosh(u_j·u_l)} with u = x − y for trigonometric ones (a constant in c
 * drops out, as Σ_j a_j (v_j−o) = 0). Since z_j·z_l = |x|² + x·y_j + x·y_l + y_j·y_l, c is a
 * product in which only exp(y_j·y_l) couples j and l: that is L³ work as a matrix product.
 *
 * @param queries x, {@code [B, H, L, D]}
 * @param keys y, {@code [B, H, S, D]}
 * @param values {@code [B, H, S, V]}
 * @param seen 1 where a query sees a key, 0 elsewhere, broadcasts to {@code [B, H, L, S]}
 */
record ExpectedError(
    Ops tf,
    Operand<TFloat64> queries,
    Operand<TFloat64> keys,
    Operand<TFloat64> values,
    Operand<TFloat64> seen) {
  /** Whether there is a closed form for a kernel's features. */
  static boolean isKnown(Kernel kernel) {
    return kernel.form() instanceof Kernel.Trigonometric
        || kernel.form() instanceof Kernel.Positive positive && positive.hasNorm();
  }

  /** Expected squared error of each query's output, M = 1, {@code [B, H, L]}. */
  Output<TFloat64> of(Kernel kernel) {
    Operand<TFloat64> grows = tf.math.exp(times(queries, keys, true)); // [B, H, L, S]
    Operand<TFloat64> weights = tf.math.mul(grows, seen);
    Operand<TFloat64> sum = tf.reduceSum(weights, tf.constant(-1), ReduceSum.keepDims(true));
    Operand<TFloat64> output = tf.math.div(times(weights, values, false), sum); // [B, H, L, V]
    Operand<TFloat64> apart = times(keys, keys, true); // y_j·y_l, [B, H, S, S]
    Operand<TFloat64> norms = tf.reduceSum(tf.math.square(queries), tf.constant(-1)); // [B, H, L]
    // a_j exp(±x·y_j), of which one is constant over the keys that are seen.
    Operand<TFloat64> towards = tf.math.div(tf.math.mul(weights, grows), sum);
    Operand<TFloat64> even = tf.math.div(seen, sum);
    boolean isPositive = kernel.form() instanceof Kernel.Positive;
    Operand<TFloat64> square = product(norms, isPositive ? towards : even, apart, output);
    if (!(kernel.form() instanceof Kernel.Positive positive) || positive.isMirrored()) {
      var mirrored =
          product(tf.math.neg(norms), isPositive ? even : towards, tf.math.neg(apart), output);
      square = tf.math.mul(tf.constant(0.5), tf.math.add(square, mirrored));
    }
    return tf.math.maximum(square, tf.constant(0.0)).asOutput();
  }

  /** {@code exp(n) Σ_jl b_j b_l exp(e_jl) (v_j−o)·(v_l−o)} of each query, {@code [B, H, L]}. */
  private Operand<TFloat64> product(
      Operand<TFloat64> n, Operand<TFloat64> b, Operand<TFloat64> e, Operand<TFloat64> output) {
    Operand<TFloat64> coupled = tf.math.exp(e);
    Operand<TFloat64> products = times(values, values, true); // v_j·v_l, [B, H, S, S]
    Operand<TFloat64> both = times(b, tf.math.mul(coupled, products), false); // [B, H, L, S]
    Operand<TFloat64> one = times(b, coupled, false); // [B, H, L, S]
    Operand<TFloat64> across = times(output, values, true); // o·v_j, [B, H, L, S]
    Operand<TFloat64> size =
        tf.reduceSum(tf.math.square(output), tf.constant(-1), ReduceSum.keepDims(true));
    Operand<TFloat64> twice = tf.math.mul(tf.constant(-2.0), tf.math.mul(across, one));
    Operand<TFloat64> inner = tf.math.addN(List.of(both, twice, tf.math.mul(size, one)));
    return tf.math.mul(tf.math.exp(n), tf.reduceSum(tf.math.mul(b, inner), tf.constant(-1)));
  }

  private Operand<TFloat64> times(Operand<TFloat64> a, Operand<TFloat64> b, boolean transpose) {
    return tf.train.batchMatMul(a, b, TFloat64.class, BatchMatMul.adjY(transpose));
  }
}
