package dev.performer.attention;

import static dev.performer.attention.Convention.Maximum.FEATURES;
import static dev.performer.attention.Convention.Maximum.LENGTH_AND_FEATURES;

import dev.performer.PerformerException;
import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The recurrent forms of FAVOR+. */
final class FavorRecurrence {
  private FavorRecurrence() {}

  static RecurrentForm of(FavorAttention attention, int heads, int headSize, int valueSize) {
    FavorConfig config = attention.config();
    PerformerException.require(
        config.causal(), "attention that is not causal has no recurrent form");
    long features = attention.featureMap().features(headSize);
    if (!config.convention().couplesPositions(config.kernel())) {
      return new Linear(attention, heads, features, valueSize);
    }
    if (attention.featureMap() instanceof StabilizedFeatures map
        && map.maxima().query() == FEATURES
        && map.maxima().key() == LENGTH_AND_FEATURES) {
      return new Stabilized(map, heads, features, valueSize);
    }
    throw new PerformerException(
        "kernel %s with convention %s takes statistics over heads or positions that no running state holds, so it cannot generate"
            .formatted(config.kernel(), config.convention()));
  }

  /** Features of one position only: the state is {@code Σ_j [v_j | 1] φ(k_j)ᵀ}. */
  private record Linear(FavorAttention attention, int heads, long features, int valueSize)
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

  /**
   * Google's softmax features, whose keys are divided by a maximum over all positions. The state
   * keeps that maximum as it runs, the sums of exponentials under it, which shrink when it grows,
   * and the sums of values for the part that ε has in every feature.
   */
  private record Stabilized(StabilizedFeatures map, int heads, long features, int valueSize)
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
      Operand<TFloat32> max = a.max(projected, LENGTH_AND_FEATURES.axes()); // [B, H, 1, 1]
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
      var max = tf.math.maximum(before, a.max(e.projected(), LENGTH_AND_FEATURES.axes()));
      Operand<TFloat32> shrunk =
          tf.math.mul(states.get(1), tf.math.exp(tf.math.sub(before, max))); // [B, H, V+1, R]
      var sums = tf.math.add(shrunk, LinearAttention.state(tf, map.exp(a, e, max), value, null));
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
}
