package dev.performer.nn;

import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FeatureMap;
import dev.performer.graph.Variable;
import dev.performer.nn.MultiHeadAttention.Projected;
import java.util.List;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;

/**
 * FAVOR+, with exact attention in some heads if wanted.
 *
 * @param projection {@code [M, D]}, or null
 * @param heads H
 */
public record FavorHeads(FavorConfig config, Variable projection, int heads) implements HeadMixer {

  /** FAVOR+ with the projection as it is read here. */
  public FavorAttention attention(Ops tf) {
    return projection == null
        ? FavorAttention.of(config)
        : FavorAttention.of(config, projection.<TFloat32>read(tf));
  }

  @Override
  public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
    var exact = new ExactAttention(config.causal());
    return new Mixed(
        null,
        joined(
            tf,
            x,
            p -> exact.attend(tf, p.queries(), p.keys(), p.values(), keyMask),
            p -> attention(tf).attend(tf, p.queries(), p.keys(), p.values(), favorMask(keyMask))));
  }

  @Override
  public Operand<TFloat32> weights(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
    var exact = new ExactAttention(config.causal());
    return joined(
        tf,
        new Projected(queries, keys, null),
        p -> exact.weights(tf, p.queries(), p.keys(), keyMask),
        p -> favorWeights(tf, p.queries(), p.keys(), favorMask(keyMask)));
  }

  /** Exact attention in the first heads, FAVOR+ in the others. */
  private Operand<TFloat32> joined(
      Ops tf,
      Projected x,
      Function<Projected, Operand<TFloat32>> exact,
      Function<Projected, Operand<TFloat32>> favor) {
    int first = config.exactHeads();
    if (first == 0 || first == heads) {
      return (first == 0 ? favor : exact).apply(x);
    }
    var begin = exact.apply(x.some(tf, 0, first, heads));
    var rest = favor.apply(x.some(tf, first, heads - first, heads));
    return tf.concat(List.of(begin, rest), tf.constant(1));
  }

  /** Exact heads always leave padded keys out. */
  private Operand<TFloat32> favorMask(Operand<TFloat32> keyMask) {
    return config.maskKeys() ? keyMask : null;
  }

  /** {@code φ(q)·φ(k)} over its sum, {@code [B, H, L, S]}. */
  private Operand<TFloat32> favorWeights(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
    FavorAttention attention = attention(tf);
    FeatureMap.Features<TFloat32> features = attention.featureMap().map(tf, queries, keys, keyMask);
    if (keyMask != null) {
      features = features.masked(tf, keyMask);
    }
    Operand<TFloat32> products =
        tf.train.batchMatMul(
            features.queries(), features.keys(), TFloat32.class, BatchMatMul.adjY(true));
    if (config.causal()) {
      products = tf.linalg.bandPart(products, tf.constant(-1L), tf.constant(0L));
    }
    Operand<TFloat32> sums =
        tf.reduceSum(products, tf.constant(-1), ReduceSum.keepDims(true)); // [B, H, L, 1]
    return attention.denominator().divide(tf, products, sums);
  }
}
