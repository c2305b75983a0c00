package dev.performer.attention;

import dev.performer.PerformerException;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Causal attention that carries a state: a whole prompt at once, then one position at a time. What
 * a position gets is what the parallel form gives the last position of the same prefix.
 */
public interface RecurrentForm {

  /**
   * One tensor of the state.
   *
   * @param name such as {@code sums}
   * @param sizes behind the batch; −1 grows with every position
   */
  record State(String name, long... sizes) {}

  /**
   * Outputs, and the state after them.
   *
   * @param output {@code [B, H, T, V]}
   * @param states in the order of {@link #states}
   */
  record Advance(Operand<TFloat32> output, List<Operand<TFloat32>> states) {}

  /** What the state consists of. */
  List<State> states();

  /**
   * Takes prompts in.
   *
   * @param queries {@code [B, H, T, D]}
   * @param keys {@code [B, H, T, D]}
   * @param values {@code [B, H, T, V]}
   * @param keyMask {@code [B, T]}, 1 = token; rows end in padding, whose outputs mean nothing
   */
  Advance prefill(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask);

  /**
   * Takes one position in.
   *
   * @param states before it
   * @param query {@code [B, H, 1, D]}
   * @param key {@code [B, H, 1, D]}
   * @param value {@code [B, H, 1, V]}
   */
  Advance step(
      Ops tf,
      List<Operand<TFloat32>> states,
      Operand<TFloat32> query,
      Operand<TFloat32> key,
      Operand<TFloat32> value);

  /**
   * The recurrent form of FAVOR+.
   *
   * @param heads H
   * @param valueSize V
   * @throws PerformerException if attention is not causal, or its features take statistics that no
   *     running state can hold
   */
  static RecurrentForm of(FavorAttention attention, int heads, int headSize, int valueSize) {
    return FavorRecurrence.of(attention, heads, headSize, valueSize);
  }
}
