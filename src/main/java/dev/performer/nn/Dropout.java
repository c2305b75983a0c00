package dev.performer.nn;

import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt64;

/** Sets elements to 0 at random and scales the others up; each place of a pass has its numbers. */
public final class Dropout {
  // Odd, and far from small steps of a seed, so that places of one run do not meet those of others.
  private static final long STRIDE = 0x9E3779B97F4A7C15L;

  // These ops take seeds of int64 under XLA, too, which draws other numbers from them.
  private static final int PHILOX = 1;

  private final Operand<TInt64> seed;
  private long place;

  private Dropout(Operand<TInt64> seed) {
    this.seed = seed;
  }

  /** Drops nothing. */
  public static Dropout none() {
    return new Dropout(null);
  }

  /** Drops by stateless random numbers of a seed {@code [2]}. */
  public static Dropout of(Operand<TInt64> seed) {
    return new Dropout(seed);
  }

  /** The same from the next place on, which this does not move: both drop alike. */
  public Dropout again() {
    Dropout again = new Dropout(seed);
    again.place = place;
    return again;
  }

  /** Whether this may drop anything. */
  public boolean isActive() {
    return seed != null;
  }

  /** {@code x} with a share {@code rate} of its elements dropped. */
  public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x, double rate) {
    if (seed == null || rate == 0) {
      return x;
    }
    place++;
    Operand<TInt64> own = tf.math.add(seed, tf.constant(new long[] {0, place * STRIDE}));
    var key = tf.random.statelessRandomGetKeyCounter(own);
    var algorithm = tf.constant(PHILOX);
    var uniform =
        tf.random.statelessRandomUniformV2(tf.shape(x), key.key(), key.counter(), algorithm);
    var keeps = tf.math.greaterEqual(uniform, tf.constant((float) rate));
    Operand<TFloat32> kept = tf.dtypes.cast(keeps, TFloat32.class);
    return tf.math.mul(x, tf.math.mul(kept, tf.constant((float) (1 / (1 - rate)))));
  }
}
