package dev.performer.study;

import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.study.AttentionCase.Measured;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * Attention alone, bidirectional and causal, over the length: the paper's figure 3.
 *
 * @param lengths L
 */
public record AttentionBenchmark(
    BenchmarkSize size, List<Integer> lengths, List<BenchmarkedAttention> attentions)
    implements Benchmark<AttentionCase, Measured> {

  /**
   * @throws dev.performer.PerformerException if a length is not positive, or there is none
   */
  public AttentionBenchmark {
    lengths = BenchmarkSize.checked(lengths);
    attentions = List.copyOf(attentions);
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
        for (BenchmarkedAttention attention : attentions) {
          cases.add(new AttentionCase(attention, causal, length, size));
        }
      }
    }
    return cases;
  }

  @Override
  public Class<Measured> resultType() {
    return Measured.class;
  }

  @Override
  public String line(AttentionCase measured, Measured result) {
    return String.format(
        Locale.ROOT,
        "%-28s L=%-6d forward %8.1f ms, forward+backward %8.1f ms, peak %6.0f MB",
        measured.kind(),
        measured.length(),
        result.forwardMs(),
        result.trainMs(),
        result.trainMb());
  }

  /** Milliseconds forward / forward+backward, and the peak memory of forward+backward. */
  @Override
  public String table(List<Row<AttentionCase, Measured>> rows) {
    StringBuilder text = new StringBuilder(header("attention"));
    for (String kind : kinds(rows)) {
      text.append("| ").append(kind).append(" |");
      for (int length : lengths) {
        text.append(
            find(rows, kind, length)
                .map(
                    m ->
                        String.format(
                            Locale.ROOT,
                            " %.1f / %.1f ms, %.0f MB |",
                            m.forwardMs(),
                            m.trainMs(),
                            m.trainMb()))
                .orElse(" – |"));
      }
      text.append('\n');
    }
    text.append(
        "\nForward / forward+backward in milliseconds (fastest of several runs), peak memory of forward+backward.\n");
    Map<String, Map<String, Double>> ratios = ratios(rows);
    if (!ratios.isEmpty()) {
      text.append('\n').append(header("forward+backward, times faster than exact softmax"));
      ratios.forEach(
          (kind, byLength) -> {
            text.append("| ").append(kind).append(" |");
            for (int length : lengths) {
              Double ratio = byLength.get("" + length);
              text.append(ratio == null ? " – |" : String.format(Locale.ROOT, " %.1f× |", ratio));
            }
            text.append('\n');
          });
    }
    return text.toString();
  }

  private String header(String first) {
    return lengths.stream()
            .map(l -> " L=" + l + " |")
            .collect(Collectors.joining("", "| " + first + " |", "\n"))
        + "|---|"
        + "---|".repeat(lengths.size())
        + "\n";
  }

  @Override
  public Map<String, Object> json(List<Row<AttentionCase, Measured>> rows) {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Row<AttentionCase, Measured> row : rows) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("attention", row.measured().attention().label());
      entry.put("causal", row.measured().causal());
      entry.put("length", row.measured().length());
      entry.put("measurement", row.result());
      list.add(entry);
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("rows", list);
    json.put("ratios", ratios(rows));
    return json;
  }

  /** How many times faster than exact attention forward+backward is: kind, then length. */
  private static Map<String, Map<String, Double>> ratios(List<Row<AttentionCase, Measured>> rows) {
    Map<String, Map<String, Double>> result = new LinkedHashMap<>();
    for (Row<AttentionCase, Measured> row : rows) {
      AttentionCase measured = row.measured();
      if (measured.attention().isExact() || !row.isMeasured()) {
        continue;
      }
      AttentionCase exact =
          new AttentionCase(
              BenchmarkedAttention.EXACT, measured.causal(), measured.length(), measured.size());
      find(rows, exact.kind(), exact.length())
          .ifPresent(
              time ->
                  result
                      .computeIfAbsent(measured.kind(), kind -> new LinkedHashMap<>())
                      .put("" + measured.length(), time.trainMs() / row.result().trainMs()));
    }
    return result;
  }

  /** Time on the left, memory on the right. */
  @Override
  public List<Chart> charts(List<Row<AttentionCase, Measured>> rows) {
    return List.of(
        chart(rows, "Forward + backward", "milliseconds", Measured::trainMs),
        chart(rows, "Peak memory, forward + backward", "MB", Measured::trainMb));
  }

  private Chart chart(
      List<Row<AttentionCase, Measured>> rows,
      String title,
      String unit,
      ToDoubleFunction<Measured> value) {
    Chart chart =
        Chart.of(title, "sequence length L", unit)
            .withSize(760, 520)
            .withScales(Scale.POWERS_OF_TWO, Scale.DECADES)
            .withLegend(Chart.Legend.INSIDE);
    for (String kind : kinds(rows)) {
      List<Row<AttentionCase, Measured>> of =
          rows.stream().filter(r -> r.isMeasured() && r.measured().kind().equals(kind)).toList();
      if (!of.isEmpty()) {
        AttentionCase first = of.get(0).measured();
        chart =
            chart.with(
                Line.of(
                        kind,
                        of.stream().map(r -> r.measured().length()).toList(),
                        of.stream().map(r -> value.applyAsDouble(r.result())).toList())
                    .withColour(attentions.indexOf(first.attention()))
                    .withDash(first.causal() ? Line.Dash.DASHED : Line.Dash.SOLID)
                    .withMarker(Line.Marker.CIRCLE));
      }
    }
    return chart;
  }

  private static List<String> kinds(List<Row<AttentionCase, Measured>> rows) {
    return rows.stream().map(r -> r.measured().kind()).distinct().toList();
  }

  private static Optional<Measured> find(
      List<Row<AttentionCase, Measured>> rows, String kind, int length) {
    return rows.stream()
        .filter(r -> r.measured().kind().equals(kind) && r.measured().length() == length)
        .filter(Row::isMeasured)
        .map(Row::result)
        .findFirst();
  }
}
