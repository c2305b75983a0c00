package dev.performer.study;

import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.model.AttentionConfig;
import java.util.List;
import org.tensorflow.op.Ops;

/**
 * What the benchmark compares.
 *
 * @param kernel of FAVOR+; null for exact softmax attention
 */
public record BenchmarkedAttention(Kernel kernel) {
  /** Softmax attention itself. */
  public static final BenchmarkedAttention EXACT = new BenchmarkedAttention(null);

  /** What is compared where nothing else is chosen. */
  public static final List<BenchmarkedAttention> DEFAULTS =
      List.of(
          EXACT,
          new BenchmarkedAttention(Kernel.DEFAULT),
          new BenchmarkedAttention(Kernel.CHEAPEST));

  private static final String EXACT_NAME = "exact";

  /**
   * Of its name.
   *
   * @param name {@code exact} or the label of a kernel
   * @throws dev.performer.PerformerException if there is none; it names the nearest
   */
  public static BenchmarkedAttention of(String name) {
    return name.equals(EXACT_NAME) ? EXACT : new BenchmarkedAttention(Kernel.of(name));
  }

  /** The name in tables. */
  public String label() {
    return kernel == null ? "exact softmax" : "FAVOR+ " + kernel;
  }

  /**
   * How a layer attends so.
   *
   * @param features M of kernels that need a projection
   */
  public AttentionConfig config(boolean causal, int features) {
    return kernel == null
        ? new AttentionConfig.Exact(causal)
        : new AttentionConfig.Favor(favor(causal, features));
  }

  private FavorConfig favor(boolean causal, int features) {
    return FavorConfig.builder()
        .kernel(kernel)
        .causal(causal)
        .features(kernel.isSoftmax() ? features : 0)
        .seed(1L)
        .build();
  }

  Attention build(Ops tf, boolean causal, int headSize, int features) {
    if (kernel == null) {
      return new ExactAttention(causal);
    }
    FavorConfig config = favor(causal, features);
    return config
        .draw(headSize)
        .map(p -> FavorAttention.of(config, p.constant(tf)))
        .orElseGet(() -> FavorAttention.of(config));
  }

  /** The name that {@link #of} takes. */
  @Override
  public String toString() {
    return kernel == null ? EXACT_NAME : kernel.label();
  }
}
