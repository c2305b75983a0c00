package dev.performer.attention;

import static dev.performer.attention.Convention.Maximum.FEATURES;
import static dev.performer.attention.Convention.Maximum.LENGTH_AND_FEATURES;
import static dev.performer.attention.LinearAttention.state;

import dev.performer.PerformerException;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.ProjectedFeatures.Stabilized;
import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * FAVOR+: features, then linear attention. float16 and bfloat16 inputs are widened first, so
 * features, sums and the division are float32.
 *
 * @param featureMap where it is one's own, {@code config.kernel()} only chooses the division
 * @see <a href="https://arxiv.org/abs/2009.14794">Rethinking Attention with Performers</a>
 */
public record FavorAttention(FavorConfig config, FeatureMap featureMap) implements Attention {
  /** Attention without a projection. @throws PerformerException if the kernel needs one */
  public static FavorAttention of(FavorConfig config) {
    return of(config, null);
  }

  /** Attention with a projection {@code [M, D]}, whose M counts whatever {@code features()} is. */
  public static FavorAttention of(FavorConfig config, Operand<? extends TNumber> projection) {
    return new FavorAttention(config, FeatureMap.of(config, projection));
  }

  /** How outputs are divided. */
  public Denominator denominator() {
    return config.denominator();
  }

  @Override
  public <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    if (isNarrow(queries.type())) {
      return widened(this, tf, queries, keys, values, keyMask);
    }
    return combine(tf, featureMap.map(tf, queries, keys, keyMask), values, keyMask);
  }

  /** The sums over features, and the division, {@code [B, H, L, V]}. */
  private <T extends TFloating> Operand<T> combine(
      Ops tf, FeatureMap.Features<T> features, Operand<T> values, Operand<T> keyMask) {
    Operand<T> q = features.queries();
    Operand<T> k = features.keys();
    if (!config.causal()) {
      return LinearAttention.bidirectional(tf, q, k, values, keyMask, denominator());
    }
    long length = Algebra.size(k, -1, "the number of features");
    int chunk = config.chunkFor(length, Algebra.size(values, -1, "the value size"));
    return LinearAttention.causal(tf, q, k, values, keyMask, denominator(), chunk);
  }

  /** Attends in float32 and returns to the type of the q. */
  static <T extends TFloating> Operand<T> widened(
      Attention attention, Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> keyMask) {
    var out = attention.attend(tf, wide(tf, q), wide(tf, k), wide(tf, v), wide(tf, keyMask));
    return tf.dtypes.cast(out, q.type());
  }

  public static boolean isNarrow(Class<?> type) {
    return type == TBfloat16.class || type == TFloat16.class;
  }

  public static Operand<TFloat32> wide(Ops tf, Operand<? extends TNumber> x) {
    return x == null ? null : tf.dtypes.cast(x, TFloat32.class);
  }

  /**
   * The recurrent form. @throws PerformerException if attention is not causal, or its features take
   * statistics that no running state can hold
   */
  public RecurrentForm recurrent(int heads, int headSize, int valueSize) {
    PerformerException.require(
        config.causal(), "attention that is not causal has no recurrent form");
    long features = featureMap.features(headSize);
    if (!config.convention().couplesPositions(config.kernel())) {
      return new OfSums(this, heads, features, valueSize);
    }
    if (featureMap instanceof Stabilized map
        && map.maxima().equals(new Convention.Stabilizer.Maxima(FEATURES, LENGTH_AND_FEATURES))) {
      return new OfMaxima(map, heads, features, valueSize);
    }
    String message =
        "kernel %s with convention %s takes statistics over heads or positions that no running state holds, so it cannot generate";
    throw new PerformerException(message.formatted(config.kernel(), config.convention()));
  }

  /** Features of one position only: the state is {@code Σ_j [v_j | 1] φ(k_j)ᵀ}. */
  private record OfSums(FavorAttention attention, int heads, long features, int valueSize)
      implements RecurrentForm {
    @Override
    public List<State> states() {
      return List.of(new State("sums", heads, valueSize + 1, features));
    }

    @Override
    public Advance prefill(Ops tf, Projected all, Operand<TFloat32> keyMask) {
      var of = attention.featureMap.map(tf, all.queries(), all.keys(), keyMask);
      return new Advance(
          attention.combine(tf, of, all.values(), keyMask),
          List.of(state(tf, of.keys(), all.values(), keyMask)));
    }

    @Override
    public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
      var of = attention.featureMap.map(tf, one.queries(), one.keys(), null); // [B, H, 1, R]
      Operand<TFloat32> added = state(tf, of.keys(), one.values(), null); // [B, H, V+1, R]
      Operand<TFloat32> after = tf.math.add(states.get(0), added);
      return new Advance(
          LinearAttention.read(tf, of.queries(), after, attention.denominator()), List.of(after));
    }
  }

  /**
   * Google's softmax features, whose keys are divided by a maximum over all positions. The state
   * keeps that maximum as it runs, the sums of exponentials under it, which shrink when it grows,
   * and the sums of values for the part that ε has in every feature.
   */
  private record OfMaxima(Stabilized map, int heads, long features, int valueSize)
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
    public Advance prefill(Ops tf, Projected all, Operand<TFloat32> keyMask) {
      FavorConfig config = map.config();
      Algebra<TFloat32> a = Algebra.of(tf, all.keys());
      var e = map.exponents(a, all.keys());
      Operand<TFloat32> real = LinearAttention.maskColumn(tf, keyMask); // [B, 1, S, 1]
      var kept = tf.math.mul(e.projected(), real); // [B, H, S, R]
      var projected = tf.math.add(kept, a.times(tf.math.sub(a.constant(1), real), NEVER));
      Operand<TFloat32> max = a.max(projected, LENGTH_AND_FEATURES.axes()); // [B, H, 1, 1]
      var masked = new Stabilized.Exponents<>(projected, e.norms(), e.constant(), e.ratio());
      Operand<TFloat32> exponentials = masked.exp(a, max); // [B, H, S, R]
      var k = a.times(a.plus(exponentials, config.exponentialEpsilon()), e.ratio());
      var q = map.side(a, all.queries(), true);
      int chunk = config.chunkFor(features, valueSize);
      Operand<TFloat32> v = all.values();
      var out = LinearAttention.causal(tf, q, k, v, keyMask, config.denominator(), chunk);
      Operand<TFloat32> one = a.onesColumn(v); // [B, H, S, 1]
      var sums = state(tf, exponentials, v, keyMask);
      return new Advance(out, List.of(max, sums, state(tf, one, v, keyMask)));
    }

    @Override
    public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
      Operand<TFloat32> v = one.values();
      Algebra<TFloat32> a = Algebra.of(tf, one.keys());
      var e = map.exponents(a, one.keys());
      Operand<TFloat32> before = states.get(0); // [B, H, 1, 1]
      var max = tf.math.maximum(before, a.max(e.projected(), LENGTH_AND_FEATURES.axes()));
      Operand<TFloat32> shrunk =
          tf.math.mul(states.get(1), tf.math.exp(tf.math.sub(before, max))); // [B, H, V+1, R]
      var sums = tf.math.add(shrunk, state(tf, e.exp(a, max), v, null));
      var total = tf.math.add(states.get(2), state(tf, a.onesColumn(v), v, null));
      var guarded = tf.math.add(sums, a.times(total, map.config().exponentialEpsilon()));
      Operand<TFloat32> state = a.times(guarded, e.ratio()); // [B, H, V+1, R]
      Operand<TFloat32> q = map.side(a, one.queries(), true); // [B, H, 1, R]
      var out = LinearAttention.read(tf, q, state, map.config().denominator());
      return new Advance(out, List.of(max, sums, total));
    }
  }
}
