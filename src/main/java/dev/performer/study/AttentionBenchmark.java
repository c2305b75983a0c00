package dev.performer.study;

import static dev.performer.study.Table.columns;
import static dev.performer.study.Table.format;

import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
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

  /** Of the output alone, and with the gradients of q, k and v. */
  record Measured(Timing forward, Timing train) {}

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
        attentions.stream()
            .filter(a -> !causal || a.canBeCausal())
            .forEach(a -> cases.add(new Case(new Kind(a, causal), length, size, null)));
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
            + "\nForward / forward+backward in milliseconds (fastest run of all rounds), peak memory"
            + " of forward+backward.\n";
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
    if (m == null) {
      return "–";
    }
    double train = m.train.minMs();
    return format("%.1f / %.1f ms, %.0f MB", m.forward.minMs(), train, m.train.peakMb());
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
        of.put(row.length, exact.train.minMs() / row.result.train.minMs());
      }
    }
    return ratios;
  }

  /** Time on the left, memory on the right. */
  @Override
  public List<Chart> charts(List<Case> rows) {
    return List.of(
        chart(rows, "Forward + backward", "milliseconds", m -> m.train.minMs()),
        chart(rows, "Peak memory, forward + backward", "MB", m -> m.train.peakMb()));
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
  record Case(Kind kind, int length, Size size, Measured result) implements InTurns<Case> {
    private static final String FORWARD = "forward";
    private static final String TRAIN = "forward+backward";
    private static final double START_SECONDS = 4;
    private static final double OPERATIONS_A_SECOND = 1e11;
    private static final double SHORTEST_SECONDS = 0.15;

    @Override
    public String label() {
      return kind + " at L=" + length;
    }

    @Override
    public String line() {
      return format(
          "%-28s L=%-6d forward %8.1f ms, forward+backward %8.1f ms, peak %6.0f MB",
          kind, length, result.forward.minMs(), result.train.minMs(), result.train.peakMb());
    }

    @Override
    public String group() {
      return "L=" + length;
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      return new Case(kind, length, size, new Measured(timings.get(FORWARD), timings.get(TRAIN)));
    }

    @Override
    public Map<String, Cost> costs() {
      double heads = (double) size.batch() * size.heads();
      var costs = kind.attention.costs(kind.causal, length, size);
      return Map.of(FORWARD, costs.forward().times(heads), TRAIN, costs.train().times(heads));
    }

    @Override
    public Open open() {
      TimedGraph timed = new TimedGraph();
      Ops tf = timed.tf();
      var shape = Shape.of(size.batch(), size.heads(), length, size.headSize());
      // q, k, v, gradient of the output
      List<Operand<TFloat32>> normal = Stream.generate(() -> timed.normal(shape)).limit(4).toList();
      var attention = kind.attention.build(tf, kind.causal, length, size);
      Operand<TFloat32> out = // [B, H, L, D]
          attention.attend(tf, normal.get(0), normal.get(1), normal.get(2), null);
      var inputs = kind.attention.sharesKeys() ? List.of(0, 2) : List.of(0, 1, 2);
      Output<?>[] gradients =
          timed
              .graph()
              .addGradients(
                  "gradients",
                  new Output<?>[] {out.asOutput()},
                  inputs.stream().map(i -> normal.get(i).asOutput()).toArray(Output<?>[]::new),
                  new Output<?>[] {normal.get(3).asOutput()});
      timed.add(FORWARD, out);
      List<Op> train = new ArrayList<>(List.of(out));
      for (Output<?> gradient : gradients) {
        train.add(gradient);
      }
      timed.add(TRAIN, train.toArray(Op[]::new));
      return timed.initialized();
    }

    @Override
    public double seconds() {
      return START_SECONDS + 3 * once();
    }

    @Override
    public double roundSeconds() {
      return Math.max(SHORTEST_SECONDS, once());
    }

    /** Both works. */
    private double once() {
      return costs().values().stream().mapToDouble(Cost::flop).sum() / OPERATIONS_A_SECOND;
    }

    /** The logits and their softmax, {@code [B, H, L, L]}, twice with gradients. */
    @Override
    public long leastBytes() {
      return kind.attention.isExact() ? 4L * 4 * size.batch() * size.heads() * length * length : 0;
    }
  }
}
