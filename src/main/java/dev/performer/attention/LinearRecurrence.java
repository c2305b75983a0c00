package dev.performer.attention;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Features of one position only: the state is {@code Σ_j [v_j | 1] φ(k_j)ᵀ}. */
record LinearRecurrence(FavorAttention attention, int heads, long features, int valueSize)
    implements RecurrentForm {

  @Override
  public List<State> states() {
    return List.of(new State("sums", heads, valueSize + 1, features));
  }

  @Override
  public Advance prefill(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask) {
    var of = attention.featureMap().map(tf, queries, keys, keyMask);
    return new Advance(
        attention.combine(tf, of, values, keyMask),
        List.of(LinearAttention.state(tf, of.keys(), values, keyMask)));
  }

  @Override
  public Advance step(
      Ops tf,
      List<Operand<TFloat32>> states,
      Operand<TFloat32> query,
      Operand<TFloat32> key,
      Operand<TFloat32> value) {
    var of = attention.featureMap().map(tf, query, key, null); // [B, H, 1, R]
    Operand<TFloat32> after =
        tf.math.add(
            states.get(0), LinearAttention.state(tf, of.keys(), value, null)); // [B, H, V+1, R]
    return new Advance(
        LinearAttention.read(tf, of.queries(), after, attention.denominator()), List.of(after));
  }
}
