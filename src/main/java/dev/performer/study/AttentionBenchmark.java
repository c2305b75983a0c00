package dev.performer.study;

import static dev.performer.study.Table.columns;
import static dev.performer.study.Table.format;

import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import dev.performer.graph.Variables;
import dev.performer.training.run.AvailableMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Attention alone, bidirectional and causal, over the length L: the paper's figure 3. */
public record AttentionBenchmark(
    Size size, List<Integer> lengths, List<BenchmarkedAttention> attentions)
    implements Benchmark<AttentionBenchmark.Case> {
  /** Checks lengths. */
  public AttentionBenchmark {
    lengths = Size.checked(lengths);
  }

  /** What is compared at each length. */
  record Kind(BenchmarkedAttention attention, boolean causal) {
    @Override
    public String toString() {
      return attention.label() + (causal ? ", causal" : "");
    }
  }

  /**
   * The fastest of several runs in milliseconds, and peak memory above the idle session in MB (10^6
   * bytes): of the output alone, and with the gradients of q, k and v.
   */
  record Measured(double forwardMs, double trainMs, double forwardMb, double trainMb) {}

  private record Row(String attention, boolean causal, int length, Measured measurement) {}

  private record Json(List<Row> rows, Map<Kind, Map<Integer, Double>> ratios) {}

  @Override
  public String name() {
    return "bench";
  }

  @Override
  public List<Case> cases() {
    List<Case> cases = new ArrayList<>();
    for (int length : lengths) {
      for (boolean causal : new boolean[] {false, true}) {
        attentions.forEach(a -> cases.add(new Case(new Kind(a, causal), length, size, null)));
      }
    }
    return cases;
  }

  /** Milliseconds forward / forward+backward, and the peak memory of forward+backward. */
  @Override
  public String table(List<Case> rows) {
    Table times = new Table("attention" + columns(lengths, l -> "L=" + l));
    byKind(rows)
        .forEach((kind, results) -> times.row(kind + columns(lengths, l -> cell(results.get(l)))));
    String text =
        times
            + "\nForward / forward+backward in milliseconds (fastest of several runs), peak memory of"
            + " forward+backward.\n";
    var ratios = ratios(rows);
    if (ratios.isEmpty()) {
      return text;
    }
    String title = "forward+backward, times faster than exact softmax";
    Table faster = new Table(title + columns(lengths, l -> "L=" + l));
    Function<Double, String> cell = ratio -> ratio == null ? "–" : format("%.1f×", ratio);
    ratios.forEach((kind, of) -> faster.row(kind + columns(lengths, l -> cell.apply(of.get(l)))));
    return text + "\n" + faster;
  }

  private static String cell(Measured m) {
    return m == null ? "–" : format("%.1f / %.1f ms, %.0f MB", m.forwardMs, m.trainMs, m.trainMb);
  }

  @Override
  public Record json(List<Case> rows) {
    Function<Case, Row> row =
        c -> new Row(c.kind.attention.label(), c.kind.causal, c.length, c.result);
    return new Json(rows.stream().map(row).toList(), ratios(rows));
  }

  /** What was measured of each kind, by length. */
  private static Map<Kind, Map<Integer, Measured>> byKind(List<Case> rows) {
    Map<Kind, Map<Integer, Measured>> result = new LinkedHashMap<>();
    for (Case row : rows) {
      var results = result.computeIfAbsent(row.kind, kind -> new LinkedHashMap<>());
      if (row.result != null) {
        results.put(row.length, row.result);
      }
    }
    return result;
  }

  /** How many times faster than exact attention forward+backward is, by kind and length. */
  private static Map<Kind, Map<Integer, Double>> ratios(List<Case> rows) {
    var measured = byKind(rows);
    Map<Kind, Map<Integer, Double>> ratios = new LinkedHashMap<>();
    for (Case row : rows) {
      Kind twin = new Kind(BenchmarkedAttention.EXACT, row.kind.causal);
      Measured exact = measured.getOrDefault(twin, Map.of()).get(row.length);
      if (exact != null && row.result != null && !row.kind.equals(twin)) {
        var of = ratios.computeIfAbsent(row.kind, kind -> new LinkedHashMap<>());
        of.put(row.length, exact.trainMs / row.result.trainMs);
      }
    }
    return ratios;
  }

  /** Time on the left, memory on the right. */
  @Override
  public List<Chart> charts(List<Case> rows) {
    return List.of(
        chart(rows, "Forward + backward", "milliseconds", Measured::trainMs),
        chart(rows, "Peak memory, forward + backward", "MB", Measured::trainMb));
  }

  private Chart chart(
      List<Case> rows, String title, String unit, Function<Measured, Double> value) {
    var layout = new Layout(760, 520, Scale.POWERS_OF_TWO, Scale.DECADES, Legend.INSIDE);
    Chart chart = Chart.of(title, "sequence length L", unit, layout);
    for (var entry : byKind(rows).entrySet()) {
      Kind kind = entry.getKey();
      var results = entry.getValue();
      var y = results.values().stream().map(value).toList();
      chart =
          chart.with(
              Line.of(kind.toString(), results.keySet(), y)
                  .withColour(attentions.indexOf(kind.attention))
                  .withDash(kind.causal ? Line.Dash.DASHED : Line.Dash.SOLID)
                  .withMarker(Line.Marker.CIRCLE));
    }
    return chart;
  }

  /** Time and memory of one attention at one length, without and with gradients. */
  record Case(Kind kind, int length, Size size, Measured result) implements Benchmark.Case<Case> {
    private static final int LEAST_RUNS = 3;
    private static final int MOST_RUNS = 12;
    private static final double ENOUGH_SECONDS = 2;
    private static final double START_SECONDS = 3;
    private static final double OPERATIONS_A_SECOND = 1.5e11;

    /** Of a step with gradients, in those of the output alone. */
    private static final double WITH_GRADIENTS = 3;

    @Override
    public String label() {
      return kind + " at L=" + length;
    }

    @Override
    public String line() {
      return format(
          "%-28s L=%-6d forward %8.1f ms, forward+backward %8.1f ms, peak %6.0f MB",
          kind, length, result.forwardMs, result.trainMs, result.trainMb);
    }

    @Override
    public Case measure() {
      var shape = Shape.of(size.batch(), size.heads(), length, size.headSize());
      try (Graph graph = new Graph();
          Session session = new Session(graph)) {
        Ops tf = Ops.create(graph);
        Variables variables = new Variables(tf);
        List<Operand<TFloat32>> normal = new ArrayList<>(); // q, k, v, gradient of the output
        for (int i = 0; i < 4; i++) {
          var seed = tf.constant(new int[] {i + 1, 0});
          var value = tf.random.statelessRandomNormal(tf.constant(shape), seed);
          normal.add(variables.create("x" + i, shape, true, value).read(tf));
        }
        var attention = kind.attention.build(tf, kind.causal, size);
        Operand<TFloat32> out = // [B, H, L, D]
            attention.attend(tf, normal.get(0), normal.get(1), normal.get(2), null);
        Output<?>[] inputs = normal.stream().map(Operand::asOutput).toArray(Output<?>[]::new);
        Output<?>[] gradients =
            graph.addGradients(
                "gradients",
                new Output<?>[] {out.asOutput()},
                Arrays.copyOf(inputs, 3),
                new Output<?>[] {inputs[3]});
        // Sums keep results in TensorFlow: what is measured is not a copy to Java.
        List<Op> train = new ArrayList<>(List.of(sum(tf, out)));
        for (Output<?> gradient : gradients) {
          train.add(sum(tf, gradient.expect(TFloat32.class)));
        }
        variables.initialize(session);
        double idle = AvailableMemory.resident().orElse(0) / 1e6;
        double forwardMs = fastest(session, train.subList(0, 1));
        double forwardMb = StepBenchmark.peakMb() - idle;
        double trainMs = fastest(session, train);
        double trainMb = StepBenchmark.peakMb() - idle;
        var measured = new Measured(forwardMs, trainMs, forwardMb, trainMb);
        return new Case(kind, length, size, measured);
      }
    }

    private static Op sum(Ops tf, Operand<TFloat32> x) {
      return tf.reduceSum(x, tf.constant(new int[] {0, 1, 2, 3}));
    }

    private static double fastest(Session session, List<Op> targets) {
      double best = Double.MAX_VALUE;
      double spent = 0;
      for (int run = 0; run <= LEAST_RUNS || run < MOST_RUNS && spent < ENOUGH_SECONDS; run++) {
        Session.Runner runner = session.runner();
        targets.forEach(runner::addTarget);
        long start = System.nanoTime();
        runner.run().close();
        double seconds = (System.nanoTime() - start) / 1e9;
        if (run > 0) { // the first run plans the graph
          best = Math.min(best, seconds);
          spent += seconds;
        }
      }
      return best * 1e3;
    }

    @Override
    public double seconds() {
      double positions = (double) size.batch() * size.heads() * length;
      double forward = positions * kind.attention.operations(length, size) / OPERATIONS_A_SECOND;
      return START_SECONDS + runs(forward) + runs(WITH_GRADIENTS * forward);
    }

    private static double runs(double seconds) {
      return seconds
          + Math.max(LEAST_RUNS * seconds, Math.min(ENOUGH_SECONDS, MOST_RUNS * seconds));
    }

    /** The logits and their softmax, {@code [B, H, L, L]}, twice with gradients. */
    @Override
    public long leastBytes() {
      return kind.attention.isExact() ? 4L * 4 * size.batch() * size.heads() * length * length : 0;
    }
  }
}
