package dev.performer.attention;

import dev.performer.graph.Algebra;
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
 * @see <a href="https://arxiv.org/abs/2009.14794">Rethinking Attention with Performers</a>
 */
public final class FavorAttention implements Attention {
  private final FavorConfig config;
  private final FeatureMap featureMap;

  private FavorAttention(FavorConfig config, FeatureMap featureMap) {
    this.config = config;
    this.featureMap = featureMap;
  }

  /**
   * Attention without a projection.
   *
   * @throws dev.performer.PerformerException if the kernel needs one
   */
  public static FavorAttention of(FavorConfig config) {
    return new FavorAttention(config, FeatureMap.of(config, null));
  }

  /**
   * Attention with a projection, which decides M whatever {@code config.features()} is.
   *
   * @param projection {@code [M, D]}: a constant, or a variable as it is read
   */
  public static FavorAttention of(FavorConfig config, Operand<? extends TNumber> projection) {
    return new FavorAttention(config, FeatureMap.of(config, projection));
  }

  /** Attention with features of one's own; {@code config.kernel()} only chooses the division. */
  public static FavorAttention of(FavorConfig config, FeatureMap featureMap) {
    return new FavorAttention(config, featureMap);
  }

  public FavorConfig config() {
    return config;
  }

  public FeatureMap featureMap() {
    return featureMap;
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
  <T extends TFloating> Operand<T> combine(
      Ops tf, FeatureMap.Features<T> features, Operand<T> values, Operand<T> keyMask) {
    if (!config.causal()) {
      return LinearAttention.bidirectional(
          tf, features.queries(), features.keys(), values, keyMask, denominator());
    }
    int chunk =
        config.chunkFor(
            Algebra.size(features.keys(), -1, "the number of features"),
            Algebra.size(values, -1, "the value size"));
    return LinearAttention.causal(
        tf, features.queries(), features.keys(), values, keyMask, denominator(), chunk);
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
}
