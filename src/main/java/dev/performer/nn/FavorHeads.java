package dev.performer.nn;

import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FeatureMap;
import dev.performer.graph.Variable;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;

/**
 * FAVOR+, with exact attention in some heads if wanted.
 *
 * @param config of FAVOR+
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
  public Mixed mix(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask,
      Dropout drop) {
    Operand<TFloat32> exact =
        config.exactHeads() == 0
            ? null
            : new ExactAttention(config.causal())
                .attend(tf, exact(tf, queries), exact(tf, keys), exact(tf, values), keyMask);
    Operand<TFloat32> favor =
        config.exactHeads() == heads
            ? null
            : attention(tf)
                .attend(
                    tf, favor(tf, queries), favor(tf, keys), favor(tf, values), favorMask(keyMask));
    return new Mixed(null, join(tf, exact, favor));
  }

  @Override
  public Operand<TFloat32> weights(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
    Operand<TFloat32> exact =
        config.exactHeads() == 0
            ? null
            : new ExactAttention(config.causal())
                .weights(tf, exact(tf, queries), exact(tf, keys), keyMask);
    Operand<TFloat32> favor =
        config.exactHeads() == heads
            ? null
            : favorWeights(tf, favor(tf, queries), favor(tf, keys), favorMask(keyMask));
    return join(tf, exact, favor);
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
            features.queries(),
            features.keys(),
            TFloat32.class,
            BatchMatMul.adjY(true)); // [B, H, L, S]
    if (config.causal()) {
      products = tf.linalg.bandPart(products, tf.constant(-1L), tf.constant(0L));
    }
    Operand<TFloat32> sums =
        tf.reduceSum(products, tf.constant(-1), ReduceSum.keepDims(true)); // [B, H, L, 1]
    return attention.denominator().divide(tf, products, sums);
  }

  private Operand<TFloat32> exact(Ops tf, Operand<TFloat32> x) {
    return heads(tf, x, 0, config.exactHeads());
  }

  private Operand<TFloat32> favor(Ops tf, Operand<TFloat32> x) {
    return heads(tf, x, config.exactHeads(), heads - config.exactHeads());
  }

  private Operand<TFloat32> heads(Ops tf, Operand<TFloat32> x, int first, int count) {
    return count == heads
        ? x
        : tf.slice(
            x, tf.constant(new int[] {0, first, 0, 0}), tf.constant(new int[] {-1, count, -1, -1}));
  }

  private static Operand<TFloat32> join(Ops tf, Operand<TFloat32> exact, Operand<TFloat32> favor) {
    if (exact == null) {
      return favor;
    }
    return favor == null ? exact : tf.concat(List.of(exact, favor), tf.constant(1));
  }
}
