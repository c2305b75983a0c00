package dev.performer.attention;

import dev.performer.attention.Attention.Projected;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Causal attention that carries a state: positions in pieces of any length, or one at a time. What
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
   * Takes T positions in after what gave {@code states}, null for nothing. Rows of the mask, {@code
   * [B, T]}, 1 = token, end in padding, whose outputs mean nothing; a row of padding only keeps its
   * state. States that grow hold padding, too, and mark it as such.
   */
  Advance extend(Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> keyMask);

  /** Takes one position in, T = 1, after what gave {@code states}, in less time. */
  Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one);

  /**
   * What {@link #defer} keeps of positions that the states have not taken in yet; −1 is their
   * number. Empty where states take in every position at once.
   */
  default List<State> waiting() {
    return List.of();
  }

  /**
   * Takes one position in as {@link #step} does, but only reads states, and gives what waits with
   * this position behind it. Where nothing can wait, it gives the states after it.
   */
  default Advance defer(
      Ops tf, List<Operand<TFloat32>> states, List<Operand<TFloat32>> waiting, Projected one) {
    return step(tf, states, one);
  }

  /** The states once they have taken in what waits. */
  default List<Operand<TFloat32>> settle(
      Ops tf, List<Operand<TFloat32>> states, List<Operand<TFloat32>> waiting) {
    return states;
  }
}
