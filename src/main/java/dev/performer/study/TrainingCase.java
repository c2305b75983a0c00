package dev.performer.study;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Precision;
import java.io.IOException;
import java.util.Arrays;

/**
 * A whole training step of a causal language model of 4 layers.
 *
 * @param attention of all layers
 * @param compute how the step is computed
 * @param length L
 */
public record TrainingCase(
    BenchmarkedAttention attention, Compute compute, int length, BenchmarkSize size)
    implements Case<TrainingCase.Measured> {
  private static final int WARM_UP = 2; // steps that plan the graph
  private static final int STEPS = 5;
  private static final int VOCABULARY = 256;
  private static final int LAYERS = 4;
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

  /**
   * What was measured.
   *
   * @param stepMs milliseconds of a step, median
   * @param peakMb of the process, in MB (10^6 bytes)
   */
  public record Measured(double stepMs, double peakMb) {}

  /** Without the length. */
  String kind() {
    return attention.label() + compute.suffix;
  }

  @Override
  public String label() {
    return kind() + ", a training step at L=" + length;
  }

  /** The model that is measured. */
  PerformerConfig model() {
    ObjectNode model = JsonNodeFactory.instance.objectNode();
    model.put("preset", "performer").put("task", "causal-lm");
    model.put("vocabularySize", VOCABULARY).put("maxLength", length).put("layers", LAYERS);
    model.put("hiddenSize", size.hiddenSize()).put("heads", size.heads());
    model.put("positions", "learned").putNull("padId");
    model.set("attention", StrictJson.tree(attention.config(size)));
    return PerformerConfig.of(model, "the benchmark's model");
  }

  @Override
  public Measured measure() throws IOException {
    Precision precision = compute == Compute.BFLOAT16 ? Precision.BFLOAT16 : Precision.FLOAT32;
    double[] times = new double[STEPS];
    try (StepBenchmark benchmark =
        StepBenchmark.open(model(), size.batch(), length, compute == Compute.XLA, precision)) {
      for (int i = -WARM_UP; i < STEPS; i++) {
        double milliseconds = benchmark.step().milliseconds();
        if (i >= 0) {
          times[i] = milliseconds;
        }
      }
    }
    Arrays.sort(times);
    return new Measured(times[STEPS / 2], StepBenchmark.peakMb());
  }

  @Override
  public double seconds() {
    double width = size.hiddenSize();
    double weights = LAYERS * 12 * width * width + 2 * VOCABULARY * width;
    double attended = LAYERS * size.heads() * attention.operations(length, size);
    double step = 3.0 * size.batch() * length * (2 * weights + attended) / OPERATIONS_A_SECOND;
    return START_SECONDS + (WARM_UP + STEPS) * step;
  }

  /** The weights of all pairs of positions, kept for each layer, and more. */
  @Override
  public long leastBytes() {
    return attention.isExact()
        ? 4L * 3 * LAYERS * size.batch() * size.heads() * length * length
        : 0;
  }
}
