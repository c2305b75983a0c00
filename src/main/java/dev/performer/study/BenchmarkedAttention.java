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

  /** Multiplications and additions of the output of one head at one position. */
  double operations(int length, Benchmark.Size size) {
    double d = size.headSize();
    return isExact() ? 4 * length * d : 8 * d * (kernel.isSoftmax() ? size.features() : d);
  }

  /** The same of the layers of a {@link #model} at one position. */
  double modelOperations(int length, Benchmark.Size size) {
    double width = size.hiddenSize();
    return LAYERS * (24 * width * width + size.heads() * operations(length, size));
  }

  boolean isExact() {
    return kernel == null;
  }
}
