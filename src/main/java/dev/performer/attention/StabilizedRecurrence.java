package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Google's softmax features, whose keys are divided by a maximum over all positions. The state
 * keeps that maximum as it runs, the sums of exponentials under it, which shrink when it grows, and
 * the sums of values for the part that ε has in every feature.
 */
record StabilizedRecurrence(StabilizedFeatures map, int heads, long features, int valueSize)
    implements RecurrentForm {
  /** Below every projected key, so that padding is no maximum and has no exponential. */
  private static final double NEVER = -1e9;

  @Override
  public List<State> states() {
    return List.of(
        new State("maximum", heads, 1, 1),
        new State("sums", heads, valueSize + 1, features),
        new State("total", heads, valueSize + 1, 1));
  }

  @Override
  public Advance prefill(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask) {
    Algebra<TFloat32> a = Algebra.of(tf, keys);
    var e = map.exponents(a, keys);
    Operand<TFloat32> real = LinearAttention.maskColumn(tf, keyMask); // [B, 1, S, 1]
    Operand<TFloat32> projected =
        tf.math.add(
            tf.math.mul(e.projected(), real),
            a.times(tf.math.sub(a.constant(1), real), NEVER)); // [B, H, S, R]
    Operand<TFloat32> max =
        a.max(projected, Convention.Maximum.LENGTH_AND_FEATURES.axes()); // [B, H, 1, 1]
    Operand<TFloat32> exponentials =
        map.exp(
            a,
            new StabilizedFeatures.Exponents<>(projected, e.norms(), e.constant(), e.ratio()),
            max); // [B, H, S, R]
    Operand<TFloat32> k = a.times(a.plus(exponentials, config().exponentialEpsilon()), e.ratio());
    Operand<TFloat32> out =
        LinearAttention.causal(
            tf,
            map.side(a, queries, map.maxima().query()),
            k,
            values,
            keyMask,
            config().denominator(),
            config().chunkFor(features, valueSize));
    Operand<TFloat32> one = a.onesColumn(values); // [B, H, S, 1]
    return new Advance(
        out,
        List.of(
            max,
            LinearAttention.state(tf, exponentials, values, keyMask),
            LinearAttention.state(tf, one, values, keyMask)));
  }

  @Override
  public Advance step(
      Ops tf,
      List<Operand<TFloat32>> states,
      Operand<TFloat32> query,
      Operand<TFloat32> key,
      Operand<TFloat32> value) {
    Algebra<TFloat32> a = Algebra.of(tf, key);
    var e = map.exponents(a, key);
    Operand<TFloat32> before = states.get(0); // [B, H, 1, 1]
    Operand<TFloat32> max =
        tf.math.maximum(
            before, a.max(e.projected(), Convention.Maximum.LENGTH_AND_FEATURES.axes()));
    Operand<TFloat32> shrunk =
        tf.math.mul(states.get(1), tf.math.exp(tf.math.sub(before, max))); // [B, H, V+1, R]
    Operand<TFloat32> sums =
        tf.math.add(shrunk, LinearAttention.state(tf, map.exp(a, e, max), value, null));
    Operand<TFloat32> total =
        tf.math.add(states.get(2), LinearAttention.state(tf, a.onesColumn(value), value, null));
    Operand<TFloat32> state =
        a.times(
            tf.math.add(sums, a.times(total, config().exponentialEpsilon())),
            e.ratio()); // [B, H, V+1, R]
    Operand<TFloat32> q = map.side(a, query, map.maxima().query()); // [B, H, 1, R]
    Operand<TFloat32> out = LinearAttention.read(tf, q, state, config().denominator());
    return new Advance(out, List.of(max, sums, total));
  }

  private FavorConfig config() {
    return map.config();
  }
}
