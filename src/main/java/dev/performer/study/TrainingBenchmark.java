package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dense.Precision;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Whole training steps of a causal language model, by attention, length L and computation. */
public record TrainingBenchmark(
    Size size, List<Integer> lengths, List<BenchmarkedAttention> attentions, List<Compute> computes)
    implements Benchmark<TrainingBenchmark.Case> {
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

    /** Behind the name of an attention. */
    String suffix() {
      return suffix;
    }
  }

  /** Checks lengths. */
  public TrainingBenchmark {
    lengths = Size.checked(lengths);
  }

  @Override
  public String name() {
    return "train-bench";
  }

  @Override
  public List<Case> cases() {
    List<Case> cases = new ArrayList<>();
    for (int length : lengths) {
      for (var attention : attentions) {
        computes.forEach(c -> cases.add(new Case(attention, c, length, size, null)));
      }
    }
    return cases;
  }

  @Override
  public String table(List<Case> rows) {
    Table table = new Table("attention | L | ms a step | tokens/s | peak MB");
    for (Case row : rows) {
      String measured = "– | – | –";
      if (row.result != null) {
        double perSecond = row.tokensPerSecond();
        Measured m = row.result;
        measured = format("%.0f | %.0f | %.0f", m.stepMs, perSecond, m.peakMb);
      }
      table.row(format("%s | %d | %s", row.kind(), row.length, measured));
    }
    return table.toString();
  }

  private record Step(
      String attention,
      String compute,
      int length,
      double tokensPerSecond,
      @JsonUnwrapped Measured measured) {}

  private record Json(List<Step> trainingSteps) {}

  @Override
  public Record json(List<Case> rows) {
    return new Json(rows.stream().filter(row -> row.result != null).map(Case::step).toList());
  }

  /**
   * Milliseconds of a step, median, and the most memory above the idle process in MB (10^6 bytes).
   */
  record Measured(double stepMs, double peakMb) {}

  /** One attention, in all layers of the model, at one length. */
  record Case(
      BenchmarkedAttention attention, Compute compute, int length, Size size, Measured result)
      implements InTurns<Case> {
    private static final String STEP = "step";
    private static final int VOCABULARY = 256;
    private static final double START_SECONDS = 6;
    private static final double OPERATIONS_A_SECOND = 1e11;
    private static final double SHORTEST_SECONDS = 0.1;

    /** Without the length. */
    private String kind() {
      return attention.label() + compute.suffix();
    }

    @Override
    public String label() {
      return kind() + ", a training step at L=" + length;
    }

    @Override
    public String line() {
      return format(
          "%-28s L=%-6d %8.0f ms a step, peak %6.0f MB",
          kind(), length, result.stepMs, result.peakMb);
    }

    private Step step() {
      String how = compute.name().toLowerCase(Locale.ROOT);
      return new Step(attention.label(), how, length, tokensPerSecond(), result);
    }

    @Override
    public String group() {
      return "L=" + length;
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      Timing step = timings.get(STEP);
      var measured = new Measured(step.medianMs(), step.peakMb());
      return new Case(attention, compute, length, size, measured);
    }

    @Override
    public Map<String, Cost> costs() {
      double logits = 3 * 2.0 * VOCABULARY * size.hiddenSize() * size.batch() * length;
      return Map.of(STEP, Cost.ofFlop(attention.stepFlop(length, size) + logits));
    }

    @Override
    public Open open() {
      ObjectNode model = attention.model(length, size);
      model.put("preset", "performer").put("vocabularySize", VOCABULARY);
      model.put("positions", "learned").putNull("padId");
      PerformerConfig config = PerformerConfig.of(model, "the benchmark's model");
      Precision precision = compute == Compute.BFLOAT16 ? Precision.BFLOAT16 : Precision.FLOAT32;
      boolean xla = compute == Compute.XLA;
      return new StepBenchmark(config, size.batch(), length, xla, precision).inTurns(STEP);
    }

    private double tokensPerSecond() {
      return size.batch() * length * 1e3 / result.stepMs;
    }

    @Override
    public double seconds() {
      return START_SECONDS + 3 * roundSeconds();
    }

    @Override
    public double roundSeconds() {
      return Math.max(SHORTEST_SECONDS, costs().get(STEP).flop() / OPERATIONS_A_SECOND);
    }

    /** The weights of all pairs of positions, kept for each layer, and more. */
    @Override
    public long leastBytes() {
      long pairs = 4L * size.batch() * size.heads() * length * length;
      return attention.isExact() ? 3 * BenchmarkedAttention.LAYERS * pairs : 0;
    }
  }
}
