package dev.performer.attention;

import dev.performer.graph.Algebra;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;

/** How the weighted sum of values becomes a weighted mean, and what guards the division. */
public sealed interface Denominator {

  /** No division: the weighted sum itself ({@code renormalize_attention=False} in Google's JAX). */
  record Absent() implements Denominator {}

  /** Plain division (Google's TF code). */
  record Unguarded() implements Denominator {}

  /** {@code epsilon} is always added (Model Garden). */
  record AddAlways(double epsilon) implements Denominator {}

  /** Where |denominator| ≤ threshold, twice the threshold is added (Google's JAX code). */
  record AddNearZero(double threshold) implements Denominator {}

  /**
   * Where |denominator| ≤ threshold, the output and its gradients are 0 (ours): a query that has no
   * key, or none within reach of float32.
   */
  record ZeroBelow(double threshold) implements Denominator {}

  /** The same guard with another ε or threshold; plain division then adds it always. */
  default Denominator withEpsilon(double epsilon) {
    if (this instanceof AddNearZero) {
      return new AddNearZero(epsilon);
    }
    return this instanceof ZeroBelow ? new ZeroBelow(epsilon) : new AddAlways(epsilon);
  }

  /**
   * Divides.
   *
   * @param numerator {@code [..., V]}
   * @param denominator {@code [..., 1]}
   * @return {@code [..., V]}
   */
  default <T extends TFloating> Operand<T> divide(
      Ops tf, Operand<T> numerator, Operand<T> denominator) {
    Algebra<T> a = Algebra.of(tf, numerator);
    if (this instanceof Absent) {
      return numerator;
    } else if (this instanceof AddAlways add) {
      return tf.math.mul(
          numerator, reciprocal(a, tf.math.add(denominator, a.constant(add.epsilon()))));
    } else if (this instanceof AddNearZero near) {
      Operand<T> bump = a.where(a.atMost(denominator, near.threshold()), 2 * near.threshold(), 0);
      return tf.math.mul(numerator, reciprocal(a, tf.math.add(denominator, bump)));
    } else if (this instanceof ZeroBelow zero) {
      var empty = a.atMost(denominator, zero.threshold());
      Operand<T> safe = tf.select(empty, a.constant(1), denominator);
      Operand<T> inverse = tf.select(empty, a.constant(0), reciprocal(a, safe)); // [..., 1]
      return tf.math.mul(numerator, inverse);
    }
    return tf.math.mul(numerator, reciprocal(a, denominator));
  }

  /**
   * {@code 1/x} whose gradient never holds {@code 1/x²}, which overflows for x below 1e-19 although
   * the gradient of the whole quotient does not.
   */
  private static <T extends TFloating> Operand<T> reciprocal(Algebra<T> a, Operand<T> x) {
    Ops tf = a.tf();
    Operand<T> inverse = tf.stopGradient(tf.math.reciprocal(x));
    return tf.math.mul(inverse, tf.math.reciprocal(tf.math.mul(x, inverse)));
  }
}
