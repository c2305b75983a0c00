package dev.performer.study;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.Calibration;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import dev.performer.nn.LinformerAttention;
import dev.performer.nn.ReformerAttention;
import dev.performer.nn.ReformerConfig;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * What benchmarks compare.
 *
 * @param kernel of FAVOR+; null for another kind
 * @param baseline another approximation; null for FAVOR+ and exact softmax attention
 * @param window of FAVOR+, with the first key as a sink; 0 for none
 */
public record BenchmarkedAttention(Kernel kernel, Baseline baseline, int window) {
  static final BenchmarkedAttention EXACT = new BenchmarkedAttention(null, null, 0);

  /** What the paper compares with, as small as it is accurate elsewhere. */
  enum Baseline {
    /** Chunks of 64, twice as many buckets as chunks, two rounds. */
    REFORMER,
    /** As many mixtures as FAVOR+ has features; bidirectional only. */
    LINFORMER;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** FAVOR+, or exact softmax attention without a kernel. */
  BenchmarkedAttention(Kernel kernel) {
    this(kernel, null, 0);
  }

  /** What is compared where nothing else is chosen. */
  public static final List<BenchmarkedAttention> DEFAULTS =
      Stream.of(null, Kernel.DEFAULT, Kernel.CHEAPEST).map(BenchmarkedAttention::new).toList();

  /** Layers of a {@link #model}. */
  static final int LAYERS = 4;

  private static final String EXACT_NAME = "exact";
  private static final Pattern WINDOWED = Pattern.compile("(.+)\\+(\\d{1,6})");

  /**
   * Of {@code exact}, {@code reformer}, {@code linformer} or a kernel, in letters of any case; a
   * kernel with a window of ±16 is {@code KERNEL+16}.
   */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  public static BenchmarkedAttention of(String name) {
    String label = name.toLowerCase(Locale.ROOT);
    for (Baseline baseline : Baseline.values()) {
      if (label.equals(baseline.toString())) {
        return new BenchmarkedAttention(null, baseline, 0);
      }
    }
    Matcher windowed = WINDOWED.matcher(label);
    if (windowed.matches()) {
      int window = Integer.parseInt(windowed.group(2));
      return new BenchmarkedAttention(Kernel.of(windowed.group(1)), null, window);
    }
    return label.equals(EXACT_NAME) ? EXACT : new BenchmarkedAttention(Kernel.of(label));
  }

  /** The name that {@link #of} takes. */
  @JsonValue
  @Override
  public String toString() {
    String favor = window > 0 ? kernel + "+" + window : String.valueOf(kernel);
    return isExact() ? EXACT_NAME : baseline == null ? favor : baseline.toString();
  }

  /** In tables. */
  String label() {
    return isExact() ? "exact softmax" : baseline == null ? "FAVOR+ " + this : toString();
  }

  /** Whether there is a causal form. */
  boolean canBeCausal() {
    return baseline != Baseline.LINFORMER;
  }

  /** Whether queries are the keys, too. */
  boolean sharesKeys() {
    return baseline == Baseline.REFORMER;
  }

  Attention build(Ops tf, boolean causal, int length, Benchmark.Size size) {
    if (isExact()) {
      return new ExactAttention(causal);
    } else if (baseline == Baseline.REFORMER) {
      ReformerConfig config = reformer(length);
      return new ReformerAttention(config, causal, config.draw(size.headSize()).get().constant(tf));
    } else if (baseline == Baseline.LINFORMER) {
      return new LinformerAttention(mixtures(tf, 1, length, size), mixtures(tf, 2, length, size));
    }
    FavorConfig config = favor(causal, size);
    var drawn = config.draw(size.headSize()).map(p -> p.<TFloat32>constant(tf));
    return drawn
        .map(p -> FavorAttention.of(config, p, calibration(tf, p, size)))
        .orElseGet(() -> FavorAttention.of(config));
  }

  /** Of as many heads, which costs what any other does; null for kernels that have none. */
  private Calibration calibration(Ops tf, Operand<TFloat32> projection, Benchmark.Size size) {
    if (!kernel.isCalibrated()) {
      return null;
    }
    var centres = tf.zeros(tf.array(size.heads(), size.headSize()), TFloat32.class);
    var heads = tf.array(size.heads(), 1, 1);
    var directions = tf.tile(tf.expandDims(projection, tf.constant(0)), heads); // [H, M, D]
    return new Calibration(centres, centres, centres, directions);
  }

  /** A causal language model whose layers attend so, as {@code PerformerConfig} reads it. */
  ObjectNode model(int length, Benchmark.Size size) {
    String text = "%s cannot be causal, and what is measured are steps of causal language models";
    PerformerException.require(canBeCausal(), text, label());
    return keys("causal-lm", true, length, size).put("layers", LAYERS);
  }

  /** An encoder whose layers attend so. */
  ObjectNode encoder(int length, Benchmark.Size size) {
    return keys("encoder", false, length, size);
  }

  private ObjectNode keys(String task, boolean causal, int length, Benchmark.Size size) {
    AttentionConfig attention =
        isExact()
            ? new AttentionConfig.Exact(causal)
            : baseline == null
                ? new AttentionConfig.Favor(favor(causal, size))
                : baseline == Baseline.REFORMER
                    ? new AttentionConfig.Reformer(reformer(length), causal)
                    : new AttentionConfig.Linformer(size.features());
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    keys.put("task", task).put("maxLength", length);
    keys.put("hiddenSize", size.hiddenSize()).put("heads", size.heads());
    return keys.set("attention", StrictJson.tree(attention));
  }

  private static ReformerConfig reformer(int length) {
    int chunk = ReformerConfig.DEFAULT.chunk();
    int buckets = Math.max(2, 2 * (length / chunk));
    return new ReformerConfig(buckets, chunk, ReformerConfig.DEFAULT.rounds(), 1);
  }

  private static Operand<TFloat32> mixtures(Ops tf, int seed, int length, Benchmark.Size size) {
    var shape = tf.array(size.features(), length);
    var normal = tf.random.statelessRandomNormal(shape, tf.array(seed, 0));
    return tf.math.mul(normal, tf.constant((float) Math.sqrt(1.0 / size.features())));
  }

  private FavorConfig favor(boolean causal, Benchmark.Size size) {
    int features = kernel.isSoftmax() ? size.features() : 0;
    return FavorConfig.builder()
        .kernel(kernel)
        .causal(causal)
        .features(features)
        .seed(1L)
        .window(window)
        .sinks(window > 0 ? List.of(0) : List.of())
        .build();
  }

  /** What one head costs by formula, without gradients and with them. */
  record Costs(Cost forward, Cost train) {}

  /**
   * With N = L·L pairs of positions for exact attention (half of them where it is causal), R
   * features a row and M directions: {@code 4·N·D} and {@code 12·N·D} floating point operations;
   * for FAVOR+ {@code 4·L·D·(M + R)} and {@code 4·L·D·(2·M + 3·R)}, causal or not, since what a
   * causal form computes beyond them is its own affair; a window has {@code 4·D} and {@code 12·D} a
   * key more. Reformer's pairs are those of its chunks, and its hashing comes to them; Linformer's
   * those of its mixtures, which are made twice. Bytes are those of q, k, v, of the output, of
   * their gradients, and of all arrays that have L rows of L or R columns.
   */
  Costs costs(boolean causal, int length, Benchmark.Size size) {
    double l = length;
    double d = size.headSize();
    if (isExact()) {
      double pairs = causal ? l * (l + 1) / 2 : l * l;
      return new Costs(
          new Cost(4 * pairs * d, 4 * (4 * l * d + 4 * pairs)),
          new Cost(12 * pairs * d, 4 * (11 * l * d + 11 * pairs)));
    } else if (baseline != null) {
      boolean isReformer = baseline == Baseline.REFORMER;
      var reformer = reformer(length);
      double pairs = l * (isReformer ? 2 * reformer.rounds() * reformer.chunk() : size.features());
      double more = isReformer ? 2 * l * d * reformer.directions() : 4 * pairs * d;
      double bytes = 4 * (4 * l * d + 4 * pairs);
      return new Costs(
          new Cost(4 * pairs * d + more, bytes),
          new Cost(12 * pairs * d + (isReformer ? more : 3 * more), 2.75 * bytes));
    }
    double m = kernel.isSoftmax() ? size.features() : 0;
    double r = features(size);
    double near = window == 0 ? 0 : causal ? window + 2 : 2 * window + 2;
    return new Costs(
        new Cost(4 * l * d * (m + r + near), 4 * l * (4 * d + 4 * r)),
        new Cost(4 * l * d * (2 * m + 3 * r + 3 * near), 4 * l * (11 * d + 10 * r)));
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
    return LAYERS * layerFlop(true, length, size);
  }

  /** The same of a layer. */
  double layerFlop(boolean causal, int length, Benchmark.Size size) {
    double width = size.hiddenSize();
    double attention = size.heads() * costs(causal, length, size).forward().flop();
    return size.batch() * (24 * width * width * length + attention);
  }

  /** Numbers that one more token of a text reads beside weights: of sums, or of a cache. */
  double stateSize(int position, Benchmark.Size size) {
    double d = size.headSize();
    double near = window == 0 ? 0 : 2 * d * (window + 2);
    double own = isExact() ? 2 * d * position : (d + 1) * features(size) + near;
    return LAYERS * size.heads() * own;
  }

  /** R of FAVOR+. */
  private double features(Benchmark.Size size) {
    double m = kernel.isSoftmax() ? size.features() : 0;
    return m == 0 ? size.headSize() : kernel.featuresPerDirection() * m;
  }

  boolean isExact() {
    return kernel == null && baseline == null;
  }
}
