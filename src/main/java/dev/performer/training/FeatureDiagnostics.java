package dev.performer.training;

import dev.performer.attention.FeatureMap;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Outputs;
import dev.performer.nn.HeadMixer;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * How the random features of each layer fare on a batch: few that do all the work, or lengths that
 * explode, show that a kernel estimate is poor.
 *
 * <p>{@code layer_0/featureNorm} is the mean length of φ(k); {@code layer_0/featureRank} the
 * effective rank {@code tr(G)²/tr(G²)} of {@code G = φ(K)ᵀφ(K)}, between 1 and M, mean over
 * sequences and heads.
 */
final class FeatureDiagnostics {
  private FeatureDiagnostics() {}

  static Map<String, Output<TFloat64>> of(Ops tf, Performer model, Outputs outputs) {
    Map<String, Output<TFloat64>> result = new LinkedHashMap<>();
    for (int i = 0; i < outputs.layers().size(); i++) {
      if (model.attention(i).mixer() instanceof HeadMixer.Favor favor) {
        Outputs.Layer layer = outputs.layers().get(i);
        FeatureMap.Features<TFloat32> features =
            favor.attention(tf).featureMap().map(tf, layer.queries(), layer.keys(), outputs.mask());
        if (outputs.mask() != null) {
          features = features.masked(tf, outputs.mask());
        }
        String name = "layer_" + i + "/";
        result.put(name + "featureNorm", wide(tf, norm(tf, features.keys(), outputs.mask())));
        result.put(name + "featureRank", wide(tf, rank(tf, features.keys())));
      }
    }
    return result;
  }

  private static Operand<TFloat32> norm(Ops tf, Operand<TFloat32> keys, Operand<TFloat32> mask) {
    var lengths = tf.math.sqrt(tf.reduceSum(tf.math.square(keys), tf.constant(-1))); // [B, H, L]
    if (mask == null) {
      return tf.math.mean(lengths, tf.constant(new int[] {0, 1, 2}));
    }
    Operand<TFloat32> perHead = tf.math.mean(lengths, tf.constant(1)); // [B, L]
    var all = tf.constant(new int[] {0, 1});
    return tf.math.div(
        tf.reduceSum(tf.math.mul(perHead, mask), all),
        tf.math.maximum(tf.reduceSum(mask, all), tf.constant(1f)));
  }

  private static Operand<TFloat32> rank(Ops tf, Operand<TFloat32> keys) {
    var last = tf.constant(new int[] {2, 3});
    var sum = tf.reduceSum(tf.math.square(keys), last, ReduceSum.keepDims(true)); // [B, H, 1, 1]
    var unit = tf.math.divNoNan(keys, tf.math.sqrt(sum)); // so that tr(G) = 1
    var gram = tf.train.batchMatMul(unit, unit, TFloat32.class, BatchMatMul.adjX(true));
    var squares = tf.reduceSum(tf.math.square(gram), last); // [B, H, M, M] to [B, H]
    var ranks = tf.math.reciprocal(tf.math.maximum(squares, tf.constant(1e-12f)));
    return tf.math.mean(ranks, tf.constant(new int[] {0, 1}));
  }

  private static Output<TFloat64> wide(Ops tf, Operand<TFloat32> x) {
    return tf.dtypes.cast(x, TFloat64.class).asOutput();
  }
}
