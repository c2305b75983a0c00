package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.BatchSize;
import dev.performer.model.PerformerConfig;
import dev.performer.training.LoopOptions;
import dev.performer.training.Memory;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A training step of a causal language model with rotary positions on long sequences, by what it
 * keeps of the forward pass: time of a token, and the most memory of the whole process.
 */
public record LengthBenchmark(
    Size size,
    List<Integer> lengths,
    List<BenchmarkedAttention> attentions,
    int layers,
    List<Memory> memories)
    implements Benchmark<LengthBenchmark.Case> {
  /** Checks lengths. */
  public LengthBenchmark {
    lengths = Size.checked(lengths);
  }

  @Override
  public String name() {
    return "length";
  }

  /** Exact attention has no states between segments. */
  @Override
  public List<Case> cases() {
    List<Case> cases = new ArrayList<>();
    for (int length : lengths) {
      for (var attention : attentions) {
        for (Memory memory : memories) {
          if (!attention.isExact() || memory != Memory.SEGMENTS) {
            cases.add(new Case(attention, memory, length, layers, size, null));
          }
        }
      }
    }
    return cases;
  }

  @Override
  public String table(List<Case> rows) {
    Table table = new Table("attention | memory | L | µs a token | peak GB");
    for (Case row : rows) {
      String found = "– | –";
      if (row.result != null) {
        found = format("%.1f | %.2f", row.result.tokenUs, row.result.peakGb);
      }
      table.row(
          format(
              "%s | %s | %d | %s", row.attention.label(), row.memory.label(), row.length, found));
    }
    return table.toString();
  }

  private record Row(
      String attention, String memory, int length, int layers, double tokenUs, double peakGb) {}

  private record Json(List<Row> steps) {}

  @Override
  public Record json(List<Case> rows) {
    Stream<Case> done = rows.stream().filter(row -> row.result != null);
    return new Json(done.map(Case::row).toList());
  }

  /** Microseconds, and 10^9 bytes of the process, Java and TensorFlow included. */
  record Measured(double tokenUs, double peakGb) {}

  /** One form of memory at one length. */
  record Case(
      BenchmarkedAttention attention,
      Memory memory,
      int length,
      int layers,
      Size size,
      Measured result)
      implements Benchmark.Case<Case> {
    private static final int VOCABULARY = 256;
    private static final int SHORT = 64;
    private static final double START_SECONDS = 8;
    private static final double OPERATIONS_A_SECOND = 1e11;

    @Override
    public String label() {
      return attention.label() + ", " + memory.label() + ", L=" + length;
    }

    @Override
    public String line() {
      return format(
          "%-36s %8.1f µs a token, peak %6.2f GB", label(), result.tokenUs, result.peakGb);
    }

    private Row row() {
      return new Row(
          attention.label(), memory.label(), length, layers, result.tokenUs, result.peakGb);
    }

    /** One step, after one of a short sequence by which TensorFlow prepares the graph. */
    @Override
    public Case measure() {
      ObjectNode keys = attention.model(length, size).put("layers", layers);
      keys.put("preset", "performer").put("vocabularySize", VOCABULARY);
      keys.put("positions", "rotary").putNull("padId");
      PerformerConfig config = PerformerConfig.of(keys, "the benchmark's model");
      var loop = LoopOptions.builder().memory(memory);
      LoopOptions options = loop.batch(new BatchSize.Sequences(size.batch())).build();
      try (StepBenchmark step = new StepBenchmark(config, options, length)) {
        step.shortStep(Math.min(SHORT, length));
        double ms = step.step().milliseconds();
        double tokens = (double) size.batch() * length;
        var measured = new Measured(1e3 * ms / tokens, StepBenchmark.peakMb() / 1e3);
        return new Case(attention, memory, length, layers, size, measured);
      }
    }

    private double flop() {
      double perLayer = attention.stepFlop(length, size) / BenchmarkedAttention.LAYERS;
      return (memory == Memory.PLAIN ? 1 : 4.0 / 3) * layers * perLayer;
    }

    @Override
    public double seconds() {
      return START_SECONDS + flop() / OPERATIONS_A_SECOND;
    }

    /** What a token leaves in each layer, about; of exact attention its weights. */
    @Override
    public long leastBytes() {
      long tokens = (long) size.batch() * length;
      long wide = attention.isExact() ? 2L * length : 2L * size.features();
      long layer = 4L * (14L * size.hiddenSize() + size.heads() * wide);
      return switch (memory) {
        case PLAIN -> tokens * layers * layer;
        case RECOMPUTE -> tokens * (layer + layers * 4L * size.hiddenSize());
        case SEGMENTS -> 0;
      };
    }
  }
}
