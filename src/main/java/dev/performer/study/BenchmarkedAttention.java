package dev.performer.study;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.tensorflow.op.Ops;

/** What benchmarks compare. @param kernel of FAVOR+; null for exact softmax attention */
public record BenchmarkedAttention(Kernel kernel) {
  static final BenchmarkedAttention EXACT = new BenchmarkedAttention(null);

  /** What is compared where nothing else is chosen. */
  public static final List<BenchmarkedAttention> DEFAULTS =
      Stream.of(null, Kernel.DEFAULT, Kernel.CHEAPEST).map(BenchmarkedAttention::new).toList();

  /** Layers of a {@link #model}. */
  static final int LAYERS = 4;

  private static final String EXACT_NAME = "exact";

  /** Of {@code exact} or the label of a kernel, in letters of any case. */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  public static BenchmarkedAttention of(String name) {
    String label = name.toLowerCase(Locale.ROOT);
    return label.equals(EXACT_NAME) ? EXACT : new BenchmarkedAttention(Kernel.of(label));
  }

  /** The name that {@link #of} takes. */
  @JsonValue
  @Override
  public String toString() {
    return isExact() ? EXACT_NAME : kernel.label();
  }

  /** In tables. */
  String label() {
    return isExact() ? "exact softmax" : "FAVOR+ " + kernel;
  }

  Attention build(Ops tf, boolean causal, Benchmark.Size size) {
    if (isExact()) {
      return new ExactAttention(causal);
    }
    FavorConfig config = favor(causal, size);
    var drawn = config.draw(size.headSize()).map(p -> FavorAttention.of(config, p.constant(tf)));
    return drawn.orElseGet(() -> FavorAttention.of(config));
  }

  /** A causal language model whose layers attend so, as {@code PerformerConfig} reads it. */
  ObjectNode model(int length, Benchmark.Size size) {
    var attention =
        isExact() ? new AttentionConfig.Exact(true) : new AttentionConfig.Favor(favor(true, size));
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    keys.put("task", "causal-lm").put("layers", LAYERS).put("maxLength", length);
    keys.put("hiddenSize", size.hiddenSize()).put("heads", size.heads());
    return keys.set("attention", StrictJson.tree(attention));
  }

  private FavorConfig favor(boolean causal, Benchmark.Size size) {
    int features = kernel.isSoftmax() ? size.features() : 0;
    return FavorConfig.builder().kernel(kernel).causal(causal).features(features).seed(1L).build();
  }

  /** What one head costs by formula, without gradients and with them. */
  record Costs(Cost forward, Cost train) {}

  /**
   * With N = L·L pairs of positions for exact attention (half of them where it is causal), R
   * features a row and M directions: {@code 4·N·D} and {@code 12·N·D} floating point operations;
   * for FAVOR+ {@code 4·L·D·(M + R)} and {@code 4·L·D·(2·M + 3·R)}, causal or not, since what a
   * causal form computes beyond them is its own affair. Bytes are those of q, k, v, of the output,
   * of their gradients, and of all arrays that have L rows of L or R columns.
   */
  Costs costs(boolean causal, int length, Benchmark.Size size) {
    double l = length;
    double d = size.headSize();
    if (isExact()) {
      double pairs = causal ? l * (l + 1) / 2 : l * l;
      return new Costs(
          new Cost(4 * pairs * d, 4 * (4 * l * d + 4 * pairs)),
          new Cost(12 * pairs * d, 4 * (11 * l * d + 11 * pairs)));
    }
    double m = kernel.isSoftmax() ? size.features() : 0;
    double r = m == 0 ? d : kernel.featuresPerDirection() * m;
    return new Costs(
        new Cost(4 * l * d * (m + r), 4 * l * (4 * d + 4 * r)),
        new Cost(4 * l * d * (2 * m + 3 * r), 4 * l * (11 * d + 10 * r)));
  }

  /**
   * What a training step of a {@link #model} costs by formula, but for its logits: products of the
   * dense layers and of attention, thrice the output's.
   */
  double stepFlop(int length, Benchmark.Size size) {
    double width = size.hiddenSize();
    double attention = size.heads() * costs(true, length, size).train().flop();
    return size.batch() * LAYERS * (3 * 24 * width * width * length + attention);
  }

  /** The same of its output alone. */
  double modelFlop(int length, Benchmark.Size size) {
    double width = size.hiddenSize();
    double attention = size.heads() * costs(true, length, size).forward().flop();
    return size.batch() * LAYERS * (24 * width * width * length + attention);
  }

  boolean isExact() {
    return kernel == null;
  }
}
