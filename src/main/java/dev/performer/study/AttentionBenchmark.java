package dev.performer.study;

import static dev.performer.study.Table.format;

import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.study.AttentionCase.Kind;
import dev.performer.study.AttentionCase.Measured;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.stream.Collectors;

/**
 * Attention alone, bidirectional and causal, over the length: the paper's figure 3.
 *
 * @param lengths L
 */
public record AttentionBenchmark(
    BenchmarkSize size, List<Integer> lengths, List<BenchmarkedAttention> attentions)
    implements Benchmark<AttentionCase> {

  /**
   * @throws dev.performer.PerformerException if a length is not positive, or there is none
   */
  public AttentionBenchmark {
    lengths = BenchmarkSize.checked(lengths);
  }

  @Override
  public String name() {
    return "bench";
  }

  @Override
  public List<AttentionCase> cases() {
    List<AttentionCase> cases = new ArrayList<>();
    for (int length : lengths) {
      for (boolean causal : new boolean[] {false, true}) {
        for (var attention : attentions) {
          cases.add(new AttentionCase(new Kind(attention, causal), length, size, null));
        }
      }
    }
    return cases;
  }

  /** Milliseconds forward / forward+backward, and the peak memory of forward+backward. */
  @Override
  public String table(List<AttentionCase> rows) {
    Table times = new Table("attention" + columns(length -> "L=" + length));
    byKind(rows).forEach((kind, results) -> times.row(kind + columns(l -> cell(results.get(l)))));
    String text =
        times
            + "\nForward / forward+backward in milliseconds (fastest of several runs), peak memory of"
            + " forward+backward.\n";
    var ratios = ratios(rows);
    if (ratios.isEmpty()) {
      return text;
    }
    String title = "forward+backward, times faster than exact softmax";
    Table faster = new Table(title + columns(length -> "L=" + length));
    ratios.forEach(
        (kind, of) ->
            faster.row(kind + columns(l -> of.containsKey(l) ? format("%.1f×", of.get(l)) : "–")));
    return text + "\n" + faster;
  }

  private String columns(IntFunction<String> cell) {
    return lengths.stream().map(length -> " | " + cell.apply(length)).collect(Collectors.joining());
  }

  private static String cell(Measured m) {
    return m == null
        ? "–"
        : format("%.1f / %.1f ms, %.0f MB", m.forwardMs(), m.trainMs(), m.trainMb());
  }

  @Override
  public Map<String, Object> json(List<AttentionCase> rows) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("rows", rows.stream().map(AttentionBenchmark::json).toList());
    json.put("ratios", ratios(rows));
    return json;
  }

  private static Map<String, Object> json(AttentionCase row) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("attention", row.kind().attention().label());
    json.put("causal", row.kind().causal());
    json.put("length", row.length());
    json.put("measurement", row.result());
    return json;
  }

  /** What was measured of each kind, by length. */
  private static Map<Kind, Map<Integer, Measured>> byKind(List<AttentionCase> rows) {
    Map<Kind, Map<Integer, Measured>> result = new LinkedHashMap<>();
    for (var row : rows) {
      var results = result.computeIfAbsent(row.kind(), kind -> new LinkedHashMap<>());
      if (row.result() != null) {
        results.put(row.length(), row.result());
      }
    }
    return result;
  }

  /** How many times faster than exact attention forward+backward is, by kind and length. */
  private static Map<Kind, Map<Integer, Double>> ratios(List<AttentionCase> rows) {
    var measured = byKind(rows);
    Map<Kind, Map<Integer, Double>> ratios = new LinkedHashMap<>();
    for (AttentionCase row : rows) {
      Kind twin = new Kind(BenchmarkedAttention.EXACT, row.kind().causal());
      Measured exact = measured.getOrDefault(twin, Map.of()).get(row.length());
      if (exact != null && row.result() != null && !row.kind().equals(twin)) {
        ratios
            .computeIfAbsent(row.kind(), kind -> new LinkedHashMap<>())
            .put(row.length(), exact.trainMs() / row.result().trainMs());
      }
    }
    return ratios;
  }

  /** Time on the left, memory on the right. */
  @Override
  public List<Chart> charts(List<AttentionCase> rows) {
    return List.of(
        chart(rows, "Forward + backward", "milliseconds", Measured::trainMs),
        chart(rows, "Peak memory, forward + backward", "MB", Measured::trainMb));
  }

  private Chart chart(
      List<AttentionCase> rows, String title, String unit, Function<Measured, Double> value) {
    Chart chart =
        Chart.of(title, "sequence length L", unit)
            .withSize(760, 520)
            .withScales(Scale.POWERS_OF_TWO, Scale.DECADES)
            .withLegend(Chart.Legend.INSIDE);
    for (var kind : byKind(rows).entrySet()) {
      var y = kind.getValue().values().stream().map(value).toList();
      chart =
          chart.with(
              Line.of(kind.getKey().toString(), kind.getValue().keySet(), y)
                  .withColour(attentions.indexOf(kind.getKey().attention()))
                  .withDash(kind.getKey().causal() ? Line.Dash.DASHED : Line.Dash.SOLID)
                  .withMarker(Line.Marker.CIRCLE));
    }
    return chart;
  }
}
