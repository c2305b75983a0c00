package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;

/**
 * The positive features of softmax as the paper prints them (lemma 1, equations 6 and 7), in
 * logarithms: the reference form, to be read and to test by. {@link CentredFeatures} computes the
 * same estimate with less work.
 *
 * <p>With x' = x/D^¼, so that q'·k' = q·k/√D:
 *
 * <pre>
 *   exp(q'·k') = E_ω [exp(ω·q' − |q'|²/2) exp(ω·k' − |k'|²/2)],  ω ~ N(0, I)
 *   φ_m(x) = exp(ω_m·x' − |x'|²/2) / √R
 * </pre>
 */
public final class PositiveFeatures {
  private PositiveFeatures() {}

  /**
   * log φ(x).
   *
   * @param x queries or keys, {@code [B, H, L, D]}
   * @param projection P, {@code [M, D]}
   * @param isMirrored whether −ω makes a feature, too: hyperbolic features, R = 2M
   * @return {@code [B, H, L, R]}
   */
  public static <T extends TFloating> Operand<T> log(
      Ops tf, Operand<T> x, Operand<T> projection, boolean isMirrored) {
    Algebra<T> a = Algebra.of(tf, x);
    long headSize = Algebra.size(x, -1, "the head size");
    Operand<T> omega = directions(a, projection, isMirrored); // [R, D]
    double size = Algebra.size(omega, 0, "the number of directions");
    Operand<T> scaled = a.times(x, Convention.Scale.SOFTMAX.of(headSize)); // x', [B, H, L, D]
    Operand<T> products = a.rowsTimes(scaled, a.transpose(omega)); // ω·x', [B, H, L, R]
    Operand<T> halfNorms = a.times(a.squaredNorm(scaled), 0.5); // |x'|²/2, [B, H, L, 1]
    return a.plus(tf.math.sub(products, halfNorms), -Math.log(size) / 2);
  }

  /** P, and −P under it where features are mirrored, {@code [R, D]}. */
  static <T extends TFloating> Operand<T> directions(
      Algebra<T> a, Operand<T> projection, boolean isMirrored) {
    return isMirrored ? a.concat(0, List.of(projection, a.tf().math.neg(projection))) : projection;
  }
}
