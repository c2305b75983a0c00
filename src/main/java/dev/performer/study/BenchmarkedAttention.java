package dev.performer.study;

import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import org.tensorflow.op.Ops;

/** What the benchmark compares. */
public enum BenchmarkedAttention {
  EXACT("exact softmax") {
    @Override
    Attention build(Ops tf, boolean causal, int headSize, int features) {
      return new ExactAttention(causal);
    }
  },
  SOFTMAX("FAVOR+ softmax") {
    @Override
    Attention build(Ops tf, boolean causal, int headSize, int features) {
      return favor(tf, Kernel.SOFTMAX, causal, headSize, features);
    }
  },
  HYPERBOLIC("FAVOR+ hyperbolic") {
    @Override
    Attention build(Ops tf, boolean causal, int headSize, int features) {
      return favor(tf, Kernel.HYPERBOLIC, causal, headSize, features);
    }
  },
  RELU("FAVOR+ relu") {
    @Override
    Attention build(Ops tf, boolean causal, int headSize, int features) {
      return FavorAttention.of(FavorConfig.of(Kernel.RELU).withCausal(causal));
    }
  };

  private final String label;

  BenchmarkedAttention(String label) {
    this.label = label;
  }

  public String label() {
    return label;
  }

  abstract Attention build(Ops tf, boolean causal, int headSize, int features);

  private static Attention favor(
      Ops tf, Kernel kernel, boolean causal, int headSize, int features) {
    FavorConfig config = FavorConfig.of(kernel).withCausal(causal).withFeatures(features);
    var projection = config.projection(headSize);
    var matrix =
        tf.reshape(
            tf.constant(projection.draw(1)),
            tf.constant(new int[] {projection.rows(), projection.columns()}));
    return FavorAttention.of(config, matrix);
  }
}
