package dev.performer.nn;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.function.Function;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;

/**
 * Where layers get their variables from: a registry that makes them, or one that has them.
 *
 * @param precision what layers of these variables compute in
 */
public record Parameters(Source source, String prefix, Precision precision) {

  /** Makes or finds the variable of a full name. */
  public interface Source {
    Variable variable(String name, Shape shape, boolean trainable, Initializer initializer);
  }

  public static Parameters of(Source source) {
    return new Parameters(source, "", Precision.FLOAT32);
  }

  /**
   * New variables.
   *
   * @param tf where their first values are drawn
   * @param seed of the draws
   */
  public static Parameters create(Ops tf, Variables variables, long seed) {
    return of(
        (name, shape, trainable, initializer) ->
            variables.create(name, shape, trainable, initializer.draw(tf, shape, seed, name)));
  }

  /** Variables that exist. */
  public static Parameters existing(Function<String, Variable> byName) {
    return of((name, shape, trainable, initializer) -> byName.apply(name));
  }

  /** The variables below a name. */
  public Parameters in(String name) {
    return new Parameters(source, prefix + name + "/", precision);
  }

  /** The same for layers that compute in another precision. */
  public Parameters in(Precision other) {
    return new Parameters(source, prefix, other);
  }

  /** A variable that an optimizer may change. */
  public Variable trainable(String name, Initializer initializer, long... shape) {
    return source.variable(prefix + name, Shape.of(shape), true, initializer);
  }

  /** A variable that none may. */
  public Variable fixed(String name, Initializer initializer, long... shape) {
    return source.variable(prefix + name, Shape.of(shape), false, initializer);
  }
}
