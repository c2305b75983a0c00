package dev.performer.nn;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dense.Rows;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Where layers get their variables from, and what they compute in.
 *
 * @param rows few or many: values are constants, and what is made of them alone costs nothing
 */
public record Parameters(Source source, String prefix, Precision precision, Rows rows) {
  /** Makes or finds the variable of a full name. */
  public interface Source {
    Variable variable(String name, Shape shape, boolean trainable, Initializer initializer);
  }

  public static Parameters of(Source source) {
    return new Parameters(source, "", Precision.FLOAT32, Rows.ANY);
  }

  /** New variables to be learned; their first values are drawn in {@code tf}. */
  public static Parameters create(Ops tf, Variables variables, long seed) {
    Source source =
        (name, shape, trainable, initializer) ->
            variables.create(name, shape, trainable, initializer.draw(tf, shape, seed, name));
    return new Parameters(source, "", Precision.FLOAT32, Rows.LEARNED);
  }

  /** Variables that exist. */
  public static Parameters existing(Function<String, Variable> byName) {
    return of((name, shape, trainable, initializer) -> byName.apply(name));
  }

  /** Variables that exist and are to be learned. */
  public static Parameters learned(Function<String, Variable> byName) {
    return new Parameters(existing(byName).source, "", Precision.FLOAT32, Rows.LEARNED);
  }

  /** Constants, as {@link Variable#ofValue} makes them, for few rows or many. */
  public static Parameters constants(Function<String, Variable> byName, Rows rows) {
    return new Parameters(existing(byName).source, "", Precision.FLOAT32, rows);
  }

  /** Whether values are constants. */
  public boolean constant() {
    return rows.areOfConstants();
  }

  /** The variables below a name. */
  public Parameters in(String name) {
    return new Parameters(source, prefix + name + "/", precision, rows);
  }

  /** The same for layers that compute in another precision. */
  public Parameters in(Precision other) {
    return new Parameters(source, prefix, other, rows);
  }

  /** A variable that an optimizer may change. */
  public Variable trainable(String name, Initializer initializer, long... shape) {
    return source.variable(prefix + name, Shape.of(shape), true, initializer);
  }

  /** A variable that none may. */
  public Variable fixed(String name, Initializer initializer, long... shape) {
    return source.variable(prefix + name, Shape.of(shape), false, initializer);
  }

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

    /** Draws, for each name of a variable its own numbers, whatever stands beside it. */
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
}
