package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Softmax attention over a growing cache of keys and values; the third tensor is 1 for those that
 * are real, as prompts of one batch differ in length.
 */
public record ExactRecurrence(int heads, int headSize, int valueSize) implements RecurrentForm {

  @Override
  public List<State> states() {
    return List.of(
        new State("keys", heads, -1, headSize),
        new State("values", heads, -1, valueSize),
        new State("real", -1));
  }

  @Override
  public Advance prefill(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask) {
    return new Advance(
        new ExactAttention(true).attend(tf, queries, keys, values, keyMask),
        List.of(keys, values, keyMask));
  }

  @Override
  public Advance step(
      Ops tf,
      List<Operand<TFloat32>> states,
      Operand<TFloat32> query,
      Operand<TFloat32> key,
      Operand<TFloat32> value) {
    Operand<TFloat32> keys = tf.concat(List.of(states.get(0), key), tf.constant(2));
    Operand<TFloat32> values = tf.concat(List.of(states.get(1), value), tf.constant(2));
    Operand<TFloat32> row =
        tf.fill(
            tf.concat(
                List.of(Algebra.sizes(tf, key, 0, 1), tf.constant(new int[] {1})), tf.constant(0)),
            tf.constant(1f)); // [B, 1]
    Operand<TFloat32> real = tf.concat(List.of(states.get(2), row), tf.constant(1)); // [B, S]
    return new Advance(
        new ExactAttention(false).attend(tf, query, keys, values, real),
        List.of(keys, values, real));
  }
}
