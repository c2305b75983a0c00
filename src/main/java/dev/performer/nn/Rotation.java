package dev.performer.nn;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Rotary positions: the pair (x_i, x_{i+D/2}) turns by {@code p/10000^(2i/D)}, so that a product of
 * a query and a key depends on their distance only.
 *
 * @param cosines {@code [L, D/2]} or {@code [B, 1, L, D/2]}
 * @param sines of the same shape
 * @see <a href="https://arxiv.org/abs/2104.09864">RoFormer</a>
 */
public record Rotation(Operand<TFloat32> cosines, Operand<TFloat32> sines) {

  /** For positions of all rows of a batch, {@code [L]}, or of each, {@code [B, L]}. */
  public static Rotation at(Ops tf, Operand<TInt32> positions, int headSize) {
    var angles = Sinusoids.angles(tf, positions, headSize / 2, headSize); // [..., L, D/2]
    if (positions.shape().numDimensions() == 2) {
      angles = tf.expandDims(angles, tf.constant(1)); // [B, 1, L, D/2]
    }
    return new Rotation(
        tf.dtypes.cast(tf.math.cos(angles), TFloat32.class),
        tf.dtypes.cast(tf.math.sin(angles), TFloat32.class));
  }

  /** Turns queries or keys, {@code [B, H, L, D]}. */
  public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x) {
    List<? extends Operand<TFloat32>> halves = tf.split(tf.constant(3), x, 2L).output();
    Operand<TFloat32> a = halves.get(0); // [B, H, L, D/2]
    Operand<TFloat32> b = halves.get(1); // [B, H, L, D/2]
    return tf.concat(
        List.of(
            tf.math.sub(tf.math.mul(a, cosines), tf.math.mul(b, sines)),
            tf.math.add(tf.math.mul(b, cosines), tf.math.mul(a, sines))),
        tf.constant(3));
  }
}
