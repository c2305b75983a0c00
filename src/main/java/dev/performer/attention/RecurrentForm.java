package dev.performer.attention;

import dev.performer.attention.Attention.Projected;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Causal attention that carries a state: a whole prompt at once, then one position at a time. What
 * a position gets is what the parallel form gives the last position of the same prefix.
 */
public interface RecurrentForm {
  /** One tensor of the state; of its sizes, behind the batch, −1 grows with every position. */
  record State(String name, long... sizes) {}

  /** Outputs, {@code [B, H, T, V]}, and the states after them, in the order of {@link #states}. */
  record Advance(Operand<TFloat32> output, List<Operand<TFloat32>> states) {}

  /** What the state consists of. */
  List<State> states();

  /**
   * Takes prompts of T positions in; rows of the mask, {@code [B, T]}, 1 = token, end in padding,
   * whose outputs mean nothing.
   */
  Advance prefill(Ops tf, Projected all, Operand<TFloat32> keyMask);

  /** Takes one position in, T = 1, after what gave {@code states}. */
  Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one);
}
