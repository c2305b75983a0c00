package dev.performer.study;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.model.AttentionConfig;
import java.util.List;
import java.util.Locale;
import org.tensorflow.op.Ops;

/**
 * What benchmarks compare.
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
   * @param name {@code exact} or the label of a kernel, in letters of any case
   * @throws dev.performer.PerformerException if there is none; it names the nearest
   */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  public static BenchmarkedAttention of(String name) {
    String label = name.toLowerCase(Locale.ROOT);
    return label.equals(EXACT_NAME) ? EXACT : new BenchmarkedAttention(Kernel.of(label));
  }

  /** The name that {@link #of} takes. */
  @JsonValue
  @Override
  public String toString() {
    return kernel == null ? EXACT_NAME : kernel.label();
  }

  /** In tables. */
  public String label() {
    return kernel == null ? "exact softmax" : "FAVOR+ " + kernel;
  }

  Attention build(Ops tf, boolean causal, BenchmarkSize size) {
    if (kernel == null) {
      return new ExactAttention(causal);
    }
    FavorConfig config = favor(causal, size);
    return config
        .draw(size.headSize())
        .map(p -> FavorAttention.of(config, p.constant(tf)))
        .orElseGet(() -> FavorAttention.of(config));
  }

  /** How a layer of a causal model attends so. */
  AttentionConfig config(BenchmarkSize size) {
    return kernel == null
        ? new AttentionConfig.Exact(true)
        : new AttentionConfig.Favor(favor(true, size));
  }

  private FavorConfig favor(boolean causal, BenchmarkSize size) {
    return FavorConfig.builder()
        .kernel(kernel)
        .causal(causal)
        .features(kernel.isSoftmax() ? size.features() : 0)
        .seed(1L)
        .build();
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
