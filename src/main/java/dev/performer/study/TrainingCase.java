package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dense.Precision;

/**
 * A whole training step of a causal language model.
 *
 * @param attention of all layers
 * @param compute how the step is computed
 * @param length L
 * @param result null before
 */
public record TrainingCase(
    BenchmarkedAttention attention,
    Compute compute,
    int length,
    BenchmarkSize size,
    Measured result)
    implements Benchmark.Case<TrainingCase> {
  private static final int WARM_UP = 2; // steps that plan the graph
  private static final int STEPS = 5;
  private static final int VOCABULARY = 256;
  private static final double START_SECONDS = 6;
  private static final double OPERATIONS_A_SECOND = 1e11;

  /** How a step is computed. */
  public enum Compute {
    PLAIN(""),
    /** The whole step is one function that XLA compiles. */
    XLA(", XLA"),
    /** Dense layers in bfloat16. */
    BFLOAT16(", bfloat16");

    private final String suffix;

    Compute(String suffix) {
      this.suffix = suffix;
    }
  }

  /** Milliseconds of a step, median, and the most memory of the process in MB (10^6 bytes). */
  public record Measured(double stepMs, double peakMb) {}

  /** Without the length. */
  String kind() {
    return attention.label() + compute.suffix;
  }

  @Override
  public String label() {
    return kind() + ", a training step at L=" + length;
  }

  @Override
  public String line() {
    return format(
        "%-28s L=%-6d %8.0f ms a step, peak %6.0f MB",
        kind(), length, result.stepMs(), result.peakMb());
  }

  @Override
  public TrainingCase measure() {
    ObjectNode model = attention.model(length, size);
    model.put("preset", "performer").put("vocabularySize", VOCABULARY);
    model.put("positions", "learned").putNull("padId");
    PerformerConfig config = PerformerConfig.of(model, "the benchmark's model");
    Precision precision = compute == Compute.BFLOAT16 ? Precision.BFLOAT16 : Precision.FLOAT32;
    boolean xla = compute == Compute.XLA;
    try (var benchmark = new StepBenchmark(config, size.batch(), length, xla, precision)) {
      var measured = new Measured(benchmark.medianMs(WARM_UP, STEPS), StepBenchmark.peakMb());
      return new TrainingCase(attention, compute, length, size, measured);
    }
  }

  double tokensPerSecond() {
    return size.batch() * length * 1e3 / result.stepMs();
  }

  @Override
  public double seconds() {
    double logits = 4.0 * VOCABULARY * size.hiddenSize();
    double forward = size.batch() * length * (attention.modelOperations(length, size) + logits);
    return START_SECONDS + (WARM_UP + STEPS) * 3 * forward / OPERATIONS_A_SECOND;
  }

  /** The weights of all pairs of positions, kept for each layer, and more. */
  @Override
  public long leastBytes() {
    long pairs = 4L * size.batch() * size.heads() * length * length;
    return attention.isExact() ? 3 * BenchmarkedAttention.LAYERS * pairs : 0;
  }
}
