package dev.performer.nn;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The first value of a variable. */
public sealed interface Initializer {

  /** The same number everywhere. */
  record Constant(float value) implements Initializer {}

  /** Normal numbers. */
  record Normal(float deviation) implements Initializer {}

  /** Uniform numbers in ±√(6/(fanIn + fanOut)) (Glorot). */
  record Glorot(long fanIn, long fanOut) implements Initializer {}

  /** These numbers, in C order. */
  record Given(float[] values) implements Initializer {}

  /**
   * Adds an op that draws.
   *
   * @param seed of this model
   * @param name of the variable, so that each has its own numbers whatever stands beside it
   */
  default Operand<TFloat32> draw(Ops tf, Shape shape, long seed, String name) {
    if (this instanceof Given given) {
      return tf.constant(shape, DataBuffers.of(given.values(), true, false));
    }
    var sizes = tf.constant(Arrays.stream(shape.asArray()).mapToInt(Math::toIntExact).toArray());
    if (this instanceof Constant constant) {
      return tf.fill(sizes, tf.constant(constant.value()));
    }
    SplittableRandom mixed = new SplittableRandom(seed ^ ((long) name.hashCode() << 32));
    var pair = tf.constant(new long[] {mixed.nextLong(), mixed.nextLong()});
    if (this instanceof Glorot glorot) {
      double limit = Math.sqrt(6.0 / (glorot.fanIn() + glorot.fanOut()));
      var twice = tf.math.mul(tf.random.statelessRandomUniform(sizes, pair), tf.constant(2f));
      return tf.math.mul(tf.math.sub(twice, tf.constant(1f)), tf.constant((float) limit));
    }
    float deviation = ((Normal) this).deviation();
    return tf.math.mul(tf.random.statelessRandomNormal(sizes, pair), tf.constant(deviation));
  }
}
