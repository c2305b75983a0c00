package dev.performer.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import org.tensorflow.op.Ops;

/** What benchmarks compare. */
public enum BenchmarkedAttention {
  EXACT("exact softmax", null),
  SOFTMAX("FAVOR+ softmax", Kernel.SOFTMAX),
  HYPERBOLIC("FAVOR+ hyperbolic", Kernel.HYPERBOLIC),
  RELU("FAVOR+ relu", Kernel.RELU);

  private final String label;
  private final Kernel kernel; // null for exact attention

  BenchmarkedAttention(String label, Kernel kernel) {
    this.label = label;
    this.kernel = kernel;
  }

  /** In tables. */
  public String label() {
    return label;
  }

  Attention build(Ops tf, boolean causal, BenchmarkSize size) {
    if (kernel == null) {
      return new ExactAttention(causal);
    }
    FavorConfig config = FavorConfig.of(kernel).withCausal(causal);
    if (!kernel.isSoftmax()) {
      return FavorAttention.of(config);
    }
    config = config.withFeatures(size.features());
    var projection = config.projection(size.headSize());
    var matrix =
        tf.reshape(
            tf.constant(projection.draw(1)),
            tf.constant(new int[] {projection.rows(), projection.columns()}));
    return FavorAttention.of(config, matrix);
  }

  /** The keys of a model's attention. */
  void describe(ObjectNode attention, BenchmarkSize size) {
    if (kernel == null) {
      attention.put("exact", true);
    } else {
      attention.put("kernel", kernel.label());
      attention.put("features", kernel.isSoftmax() ? size.features() : 0);
    }
  }

  /** Multiplications and additions of the output of one head at one position. */
  double operations(int length, BenchmarkSize size) {
    double d = size.headSize();
    return kernel == null ? 4 * length * d : 8 * d * (kernel.isSoftmax() ? size.features() : d);
  }

  boolean isExact() {
    return kernel == null;
  }
}
