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
import org.tensorflow.types.TFloat64;
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
    return of(config, projection, null);
  }

  /** The same; of its heads {@code calibration} says where features lie, null for nothing. */
  public static FavorAttention of(
      FavorConfig config, Operand<? extends TNumber> projection, Calibration calibration) {
    return new FavorAttention(config, FeatureMap.of(config, projection, calibration));
  }

  /** How outputs are divided. */
  public Denominator denominator() {
    return config.denominator();
  }

  @Override
  public <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    return attend(tf, queries, keys, values, keyMask, null);
  }

  /**
   * The same of attention with {@link Gate gates}.
   *
   * @param logGates their logarithms, {@code [B, H, S, 1]}, none positive; that of a masked key
   *     does not count; null where the configuration has none
   */
  public <T extends TFloating> Operand<T> attend(
      Ops tf,
      Operand<T> queries,
      Operand<T> keys,
      Operand<T> values,
      Operand<T> keyMask,
      Operand<T> logGates) {
    PerformerException.require(
        (logGates != null) == config.hasGate(),
        config.hasGate()
            ? "attention with gate: %s needs the gates of its layer, which are not given here"
            : "gates are given, but the configuration has gate: %s",
        config.gate());
    if (isNarrow(queries.type())) {
      var out =
          attend(
              tf,
              wide(tf, queries),
              wide(tf, keys),
              wide(tf, values),
              wide(tf, keyMask),
              wide(tf, logGates));
      return tf.dtypes.cast(out, queries.type());
    }
    if (config.hasBand()) {
      return new BandedAttention(config, featureMap).attend(tf, queries, keys, values, keyMask);
    }
    var of = featureMap.map(tf, queries, keys, keyMask);
    return config.causal()
        ? causal(tf, of, values, keyMask, logGates, null)
        : LinearAttention.bidirectional(
            tf, of.queries(), of.keys(), values, keyMask, denominator());
  }

  /** After the state of earlier positions, null for none: {@code [B, H, L, V]}. */
  <T extends TFloating> Operand<T> causal(
      Ops tf,
      FeatureMap.Features<T> of,
      Operand<T> values,
      Operand<T> keyMask,
      Operand<T> logGates,
      Operand<T> earlier) {
    long features = Algebra.size(of.keys(), -1, "the number of features");
    int chunk = config.chunkFor(features, Algebra.size(values, -1, "the value size"));
    return LinearAttention.causal(
        tf, of.queries(), of.keys(), values, keyMask, logGates, denominator(), chunk, earlier);
  }

  /** Attends in float32 and returns to the type of the q. */
  public static <T extends TFloating> Operand<T> widened(
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
    if (config.hasBand()) {
      var banded = new BandedAttention(config, featureMap);
      return new BandedRecurrence(banded, heads, headSize, features, valueSize);
    }
    if (!config.convention().couplesPositions(config.kernel())) {
      return new SumsRecurrence(this, heads, features, valueSize);
    }
    if (featureMap instanceof Stabilized map
        && map.maxima().equals(new Convention.Stabilizer.Maxima(FEATURES, LENGTH_AND_FEATURES))) {
      return new OfMaxima(this, map, heads, features, valueSize);
    }
    String message =
        "kernel %s with convention %s takes statistics over heads or positions that no running state holds, so it cannot generate";
    throw new PerformerException(message.formatted(config.kernel(), config.convention()));
  }

  /**
   * Google's softmax features, whose keys are divided by a maximum over all positions. The state
   * keeps that maximum as it runs, the sums of exponentials under it, which shrink when it grows,
   * and the sums of values for the part that ε has in every feature.
   */
  private record OfMaxima(
      FavorAttention attention, Stabilized map, int heads, long features, int valueSize)
      implements RecurrentForm {
    /** Below every projected key, so that padding is no maximum and has no exponential. */
    private static final double NEVER = -1e9;

    /** The logarithm of a sum of so high powers is their maximum, but for 1e-6. */
    private static final double SHARPNESS = 1e7;

    @Override
    public List<State> states() {
      return List.of(
          new State("maximum", heads, 1, 1),
          new State("sums", heads, valueSize + 1, features),
          new State("total", heads, valueSize + 1, 1));
    }

    @Override
    public Advance extend(
        Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> keyMask) {
      Algebra<TFloat32> a = Algebra.of(tf, more.keys());
      var e = map.exponents(a, more.keys());
      Operand<TFloat32> real = LinearAttention.maskColumn(tf, keyMask); // [B, 1, T, 1]
      var kept = tf.math.mul(e.projected(), real); // [B, H, T, R]
      var projected = tf.math.add(kept, a.times(tf.math.sub(a.constant(1), real), NEVER));
      var masked = new Stabilized.Exponents<>(projected, e.norms(), e.constant(), e.ratio());
      Operand<TFloat32> own = a.max(projected, FEATURES.axes()); // [B, H, T, 1]
      Operand<TFloat32> last = a.max(own, LENGTH_AND_FEATURES.axes()); // [B, H, 1, 1]
      Operand<TFloat32> max = states == null ? last : tf.math.maximum(states.get(0), last);
      Operand<TFloat32> exponentials = masked.exp(a, max); // [B, H, T, R]
      Operand<TFloat32> ones = a.onesColumn(more.values()); // [B, H, T, 1]
      var sums = state(tf, exponentials, more.values(), keyMask);
      var total = state(tf, ones, more.values(), keyMask);
      Operand<TFloat32> before = states == null ? null : shrunk(tf, states, max);
      Operand<TFloat32> counted = states == null ? null : states.get(2);

      // To its own position, a key is larger than under a maximum that is yet to come.
      Operand<TFloat32> q = map.side(a, more.queries(), true); // [B, H, T, R]
      int chunk = map.config().chunkFor(features, valueSize);
      Algebra<TFloat64> w = new Algebra<>(tf, TFloat64.class);
      var v = w.cast(more.values());
      var mask = w.cast(keyMask);
      var grown = tf.math.exp(tf.math.sub(w.cast(max), running(w, states, own))); // [B, H, T, 1]
      var seen =
          LinearAttention.causalSums(
              tf, w.cast(q), w.cast(exponentials), v, mask, chunk, wide(w, before));
      var counts =
          LinearAttention.causalSums(
              tf, w.cast(ones), w.cast(ones), v, mask, chunk, wide(w, counted));
      var epsilon = w.times(w.cast(a.sum(q, -1)), map.config().exponentialEpsilon());
      var all = tf.math.add(tf.math.mul(grown, seen), tf.math.mul(epsilon, counts));
      var narrow = a.cast(w.times(all, e.ratio())); // [B, H, T, V+1]
      return new Advance(
          LinearAttention.divided(tf, narrow, attention.denominator()),
          List.of(
              max,
              before == null ? sums : tf.math.add(before, sums),
              counted == null ? total : tf.math.add(counted, total)));
    }

    private static Operand<TFloat64> wide(Algebra<TFloat64> w, Operand<TFloat32> x) {
      return x == null ? null : w.cast(x);
    }

    /** The maximum up to each position, {@code [B, H, T, 1]}, which has no op of its own. */
    private static Operand<TFloat64> running(
        Algebra<TFloat64> w, List<Operand<TFloat32>> states, Operand<TFloat32> own) {
      Ops tf = w.tf();
      var all = states == null ? own : tf.concat(List.of(states.get(0), own), tf.constant(2));
      var sharp = tf.math.cumulativeLogsumexp(w.times(w.cast(all), SHARPNESS), tf.constant(2));
      Operand<TFloat64> running = w.times(sharp, 1 / SHARPNESS); // [B, H, T or T+1, 1]
      return states == null
          ? running
          : tf.slice(running, tf.array(0, 0, 1, 0), tf.array(-1, -1, -1, -1));
    }

    @Override
    public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
      Operand<TFloat32> v = one.values();
      Algebra<TFloat32> a = Algebra.of(tf, one.keys());
      var e = map.exponents(a, one.keys());
      var own = a.max(e.projected(), LENGTH_AND_FEATURES.axes()); // [B, H, 1, 1]
      Operand<TFloat32> max = tf.math.maximum(states.get(0), own);
      var sums = tf.math.add(shrunk(tf, states, max), state(tf, e.exp(a, max), v, null));
      var total = tf.math.add(states.get(2), state(tf, a.onesColumn(v), v, null));
      Operand<TFloat32> state = guarded(a, sums, total, e.ratio()); // [B, H, V+1, R]
      Operand<TFloat32> q = map.side(a, one.queries(), true); // [B, H, 1, R]
      var out = LinearAttention.read(tf, q, state, attention.denominator());
      return new Advance(out, List.of(max, sums, total));
    }

    /** The sums under a maximum that has grown, {@code [B, H, V+1, R]}. */
    private static Operand<TFloat32> shrunk(
        Ops tf, List<Operand<TFloat32>> states, Operand<TFloat32> max) {
      return tf.math.mul(states.get(1), tf.math.exp(tf.math.sub(states.get(0), max)));
    }

    /** What queries see: the sums of features, which all have ε, {@code [B, H, V+1, R]}. */
    private Operand<TFloat32> guarded(
        Algebra<TFloat32> a, Operand<TFloat32> sums, Operand<TFloat32> total, double ratio) {
      var epsilon = a.times(total, map.config().exponentialEpsilon());
      return a.times(a.tf().math.add(sums, epsilon), ratio);
    }
  }
}
