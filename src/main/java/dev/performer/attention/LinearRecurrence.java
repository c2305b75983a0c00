package dev.performer.attention;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Features of one position only: the state is {@code Σ_j φ(k_j) [v_j | 1]}. */
record LinearRecurrence(FavorAttention attention, int heads, int features, int valueSize)
    implements RecurrentForm {

  @Override
  public List<State> states() {
    return List.of(new State("sums", heads, features, valueSize + 1));
  }

  @Override
  public Advance prefill(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask) {
    Operand<TFloat32> out = attention.attend(tf, queries, keys, values, keyMask);
    Operand<TFloat32> state =
        new RecurrentAttention(attention).stateAfter(tf, keys, values, keyMask);
    return new Advance(out, List.of(state));
  }

  @Override
  public Advance step(
      Ops tf,
      List<Operand<TFloat32>> states,
      Operand<TFloat32> query,
      Operand<TFloat32> key,
      Operand<TFloat32> value) {
    var of = attention.featureMap().map(tf, query, key, null); // [B, H, 1, M]
    Operand<TFloat32> after =
        tf.math.add(states.get(0), LinearAttention.state(tf, of.keys(), value, null));
    return new Advance(
        LinearAttention.read(tf, of.queries(), after, attention.denominator()), List.of(after));
  }
}
