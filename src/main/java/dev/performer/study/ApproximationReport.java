package dev.performer.study;

import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.joining;
import static java.util.stream.Collectors.toList;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.study.ApproximationStudy.Row;
import dev.performer.study.ApproximationStudy.Variant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What came of an approximation study: table, picture, and as JSON what it holds.
 *
 * @param study with which it was measured
 * @param rows all variants with the same numbers of features
 */
public record ApproximationReport(@JsonUnwrapped ApproximationStudy study, List<Row> rows) {
  private static final List<Line.Dash> DASHES =
      List.of(Line.Dash.DASHED, Line.Dash.SOLID, Line.Dash.DOTTED);
  private static final List<Line.Marker> MARKERS =
      List.of(Line.Marker.CIRCLE, Line.Marker.DIAMOND, Line.Marker.CROSS);

  /** Markdown: a line for each variant, a column for each number of features. */
  public String table() {
    var features = rows.stream().map(row -> " | M=" + row.features()).distinct().collect(joining());
    Table table = new Table("kernel | projection | row lengths" + features);
    byVariant()
        .forEach(
            (v, row) ->
                table.row(
                    v.toString().replace(", ", " | ")
                        + row.stream().map(r -> " | " + number(r.error())).collect(joining())));
    return table.toString();
  }

  /** An error with as many digits as it is worth. */
  public static String number(double x) {
    return Table.format(x >= 100 ? "%.0f" : x >= 0.1 ? "%.2f" : "%.4f", x);
  }

  /** The error over M: colour by kernel, dash by directions, marker by row lengths. */
  public Chart chart() {
    String title = "FAVOR+ against softmax: L=" + study.length() + ", D=" + study.headSize();
    Chart chart =
        Chart.of(title, "features M", "mean squared error / variance")
            .withSize(1000, 650)
            .withScales(Scale.POWERS_OF_TWO, Scale.DECADES);
    var variants = byVariant();
    var kernels = variants.keySet().stream().map(Variant::kernel).distinct().toList();
    var directions = variants.keySet().stream().map(Variant::directions).distinct().toList();
    var lengths = variants.keySet().stream().map(Variant::lengths).distinct().toList();
    for (var entry : variants.entrySet()) {
      Variant v = entry.getKey();
      var features = entry.getValue().stream().map(Row::features).toList();
      var errors = entry.getValue().stream().map(Row::error).toList();
      chart =
          chart.with(
              Line.of(v.toString(), features, errors)
                  .withColour(kernels.indexOf(v.kernel()))
                  .withDash(DASHES.get(directions.indexOf(v.directions()) % DASHES.size()))
                  .withMarker(MARKERS.get(lengths.indexOf(v.lengths()) % MARKERS.size())));
    }
    return chart;
  }

  private Map<Variant, List<Row>> byVariant() {
    return rows.stream().collect(groupingBy(Row::variant, LinkedHashMap::new, toList()));
  }
}
