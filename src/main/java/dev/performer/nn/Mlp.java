package dev.performer.nn;

import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Two dense layers with a function between them.
 *
 * @param in {@code [E, F]}
 * @param out {@code [F, E]}
 * @param dropout rate after the activation
 */
public record Mlp(Dense in, Dense out, Activation activation, double dropout) {

  /** Creates its variables. */
  public static Mlp create(
      Parameters parameters, int size, int hidden, Activation activation, double dropout) {
    return new Mlp(
        Dense.create(parameters.in("in"), size, hidden),
        Dense.create(parameters.in("out"), hidden, size),
        activation,
        dropout);
  }

  /** The outputs, {@code [..., E]}. */
  public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x, Dropout drop) {
    Operand<TFloat32> hidden = activation.apply(tf, in.apply(tf, x)); // [..., F]
    return out.apply(tf, drop.apply(tf, hidden, dropout));
  }
}
