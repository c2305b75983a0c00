package dev.performer.study;

import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.study.ApproximationStudy.Row;
import dev.performer.study.ApproximationStudy.Variant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What came of an approximation study: table, JSON, picture.
 *
 * @param study with which it was measured
 * @param rows all variants with the same numbers of features
 */
public record ApproximationReport(ApproximationStudy study, List<Row> rows) {
  private static final List<Line.Dash> DASHES =
      List.of(Line.Dash.DASHED, Line.Dash.SOLID, Line.Dash.DOTTED);
  private static final List<Line.Marker> MARKERS =
      List.of(Line.Marker.CIRCLE, Line.Marker.DIAMOND, Line.Marker.CROSS);

  /** Markdown: a line for each variant, a column for each number of features. */
  public String table() {
    List<Integer> features = rows.stream().map(Row::features).distinct().toList();
    StringBuilder text = new StringBuilder("| kernel | projection | row lengths |");
    features.forEach(m -> text.append(" M=").append(m).append(" |"));
    text.append("\n|---|---|---|").append("---|".repeat(features.size())).append('\n');
    byVariant()
        .forEach(
            (v, list) -> {
              text.append("| %s | %s | %s |".formatted(v.kernel(), v.directions(), v.lengths()));
              list.forEach(r -> text.append(' ').append(number(r.error())).append(" |"));
              text.append('\n');
            });
    return text.toString();
  }

  /** An error with as many digits as it is worth. */
  public static String number(double x) {
    return String.format(Locale.ROOT, x >= 100 ? "%.0f" : x >= 0.1 ? "%.2f" : "%.4f", x);
  }

  /** Settings and rows. */
  public Map<String, Object> json() {
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("length", study.length());
    root.put("headSize", study.headSize());
    root.put("amplitude", study.amplitude());
    root.put("draws", study.draws());
    root.put("seed", study.seed());
    root.put("convention", study.convention().label());
    root.put("causal", study.causal());
    List<Map<String, Object>> list = new ArrayList<>();
    for (Row r : rows) {
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("kernel", r.variant().kernel().label());
      row.put("projection", r.variant().directions().toString());
      row.put("rowLengths", r.variant().lengths().toString());
      row.put("features", r.features());
      row.put("error", r.error());
      row.put("standardError", r.standardError());
      list.add(row);
    }
    root.put("rows", list);
    return root;
  }

  /** The error over M: colour by kernel, dash by directions, marker by row lengths. */
  public Chart chart() {
    Chart chart =
        Chart.of(
                "FAVOR+ against softmax: L=" + study.length() + ", D=" + study.headSize(),
                "features M",
                "mean squared error / variance")
            .withSize(1000, 650)
            .withScales(Scale.POWERS_OF_TWO, Scale.DECADES);
    var variants = byVariant();
    var kernels = variants.keySet().stream().map(Variant::kernel).distinct().toList();
    var directions = variants.keySet().stream().map(Variant::directions).distinct().toList();
    var lengths = variants.keySet().stream().map(Variant::lengths).distinct().toList();
    for (Map.Entry<Variant, List<Row>> entry : variants.entrySet()) {
      Variant v = entry.getKey();
      chart =
          chart.with(
              Line.of(
                      v.toString(),
                      entry.getValue().stream().map(Row::features).toList(),
                      entry.getValue().stream().map(Row::error).toList())
                  .withColour(kernels.indexOf(v.kernel()))
                  .withDash(DASHES.get(directions.indexOf(v.directions()) % DASHES.size()))
                  .withMarker(MARKERS.get(lengths.indexOf(v.lengths()) % MARKERS.size())));
    }
    return chart;
  }

  private Map<Variant, List<Row>> byVariant() {
    Map<Variant, List<Row>> result = new LinkedHashMap<>();
    rows.forEach(r -> result.computeIfAbsent(r.variant(), v -> new ArrayList<>()).add(r));
    return result;
  }
}
