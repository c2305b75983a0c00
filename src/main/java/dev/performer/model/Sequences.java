package dev.performer.model;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TNumber;

/** What is done to tokens and masks before a model reads them, and to states by their masks. */
public final class Sequences {
  private Sequences() {}

  /** What a stack reads, {@code [B, L]}; the mask may be null. */
  record Read(Operand<TInt32> tokens, Operand<TFloat32> mask) {}

  /** Tokens with the mask that they have by themselves; both shifted if the model shifts them. */
  static Read read(
      Ops tf, Operand<TInt32> tokens, Operand<TFloat32> given, PerformerConfig c, boolean shifts) {
    Operand<TFloat32> mask = given == null ? maskOf(tf, tokens, c.padId()) : given;
    if (!shifts || c.shiftBos() == null) {
      return new Read(tokens, mask);
    }
    Operand<TInt32> read = shifted(tf, tokens, tf.constant((int) c.shiftBos()));
    return new Read(read, mask == null ? null : shifted(tf, mask, tf.constant(1f)));
  }

  /** {@code 0 … L-1}. */
  static Operand<TInt32> positions(Ops tf, Operand<TInt32> tokens, int more) {
    Operand<TInt32> length = tf.squeeze(Algebra.sizes(tf, tokens, 1, 2));
    return tf.range(tf.constant(0), tf.math.add(length, tf.constant(more)), tf.constant(1));
  }

  /** {@code [B, L]}: padding at {@code padId}, other tokens counted from {@code padId + 1} on. */
  static Operand<TInt32> positionsBehindPadding(Ops tf, Operand<TInt32> tokens, int padId) {
    var pad = tf.constant(padId);
    Operand<TInt32> isToken = tf.dtypes.cast(tf.math.notEqual(tokens, pad), TInt32.class);
    return tf.math.add(tf.math.mul(tf.math.cumsum(isToken, tf.constant(1)), isToken), pad);
  }

  /** {@code first} in front, and the last column dropped. */
  private static <T extends TNumber> Operand<T> shifted(Ops tf, Operand<T> x, Operand<T> first) {
    var size = tf.math.sub(tf.shape(x), tf.array(0, 1));
    return inFront(tf, tf.slice(x, tf.array(0, 0), size), x, first);
  }

  /** A column of {@code first} in front of {@code x}, {@code [B, L]}. */
  static <T extends TNumber> Operand<T> inFront(Ops tf, Operand<T> x, Operand<T> first) {
    return inFront(tf, x, x, first);
  }

  private static <T extends TNumber> Operand<T> inFront(
      Ops tf, Operand<T> x, Operand<T> rows, Operand<T> first) {
    var sizes = List.of(Algebra.sizes(tf, rows, 0, 1), tf.array(1));
    var column = tf.fill(tf.concat(sizes, tf.constant(0)), first); // [B, 1]
    return tf.concat(List.of(column, x), tf.constant(1));
  }

  /** 1 where a token is not padding, in the shape of the tokens; null if no token is. */
  public static Operand<TFloat32> maskOf(Ops tf, Operand<TInt32> tokens, Integer padId) {
    return padId == null
        ? null
        : tf.dtypes.cast(tf.math.notEqual(tokens, tf.constant((int) padId)), TFloat32.class);
  }

  /** The mean over the positions of a mask, or over all: {@code [B, L, E]} to {@code [B, E]}. */
  public static Operand<TFloat32> mean(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    if (mask == null) {
      return tf.math.mean(x, tf.array(1));
    }
    var count = tf.reduceSum(mask, tf.array(1), ReduceSum.keepDims(true)); // [B, 1]
    return tf.math.div(sum(tf, x, mask), tf.math.maximum(count, tf.constant(1f)));
  }

  /** As {@link #mean}, not divided. */
  static Operand<TFloat32> sum(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    return tf.reduceSum(kept(tf, x, mask), tf.array(1));
  }

  /** 0 at masked positions. */
  static Operand<TFloat32> kept(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    return mask == null ? x : tf.math.mul(x, tf.expandDims(mask, tf.constant(2)));
  }
}
