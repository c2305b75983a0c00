package dev.performer.study;

import dev.performer.data.OutputFile;
import dev.performer.study.AttentionBenchmark.Measurement;
import dev.performer.study.AttentionBenchmark.Row;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.Styler.YAxisPosition;

/** The benchmark's rows as a Markdown table, as ratios, and as a plot. */
public final class BenchmarkReport {
  private BenchmarkReport() {}

  /** Milliseconds forward / forward+backward, and the peak memory of forward+backward. */
  public static String table(List<Row> rows, List<Integer> lengths) {
    StringBuilder text = new StringBuilder("| attention |");
    lengths.forEach(l -> text.append(" L=").append(l).append(" |"));
    text.append("\n|---|").append("---|".repeat(lengths.size())).append('\n');
    for (String label : labels(rows)) {
      text.append("| ").append(label).append(" |");
      for (int length : lengths) {
        Measurement m = find(rows, label, length);
        text.append(
            m == null
                ? " – |"
                : String.format(
                    Locale.ROOT,
                    " %.1f / %.1f ms, %.0f MB |",
                    m.forwardMs(),
                    m.trainMs(),
                    m.trainMb()));
      }
      text.append('\n');
    }
    text.append(
        "\nForward / forward+backward in milliseconds (fastest of several runs), peak memory of forward+backward.\n");
    Map<String, Map<String, Double>> ratios = ratios(rows);
    if (!ratios.isEmpty()) {
      text.append("\n| forward+backward, times faster than exact softmax |");
      lengths.forEach(l -> text.append(" L=").append(l).append(" |"));
      text.append("\n|---|").append("---|".repeat(lengths.size())).append('\n');
      ratios.forEach(
          (label, byLength) -> {
            text.append("| ").append(label).append(" |");
            for (int length : lengths) {
              Double ratio = byLength.get("" + length);
              text.append(ratio == null ? " – |" : String.format(Locale.ROOT, " %.1f× |", ratio));
            }
            text.append('\n');
          });
    }
    return text.toString();
  }

  /**
   * How many times faster than exact attention of the same kind forward+backward is: label, then
   * length.
   */
  public static Map<String, Map<String, Double>> ratios(List<Row> rows) {
    Map<String, Map<String, Double>> result = new LinkedHashMap<>();
    for (Row row : rows) {
      boolean causal = row.measured().causal();
      if (row.measured().attention().equals(BenchmarkedAttention.EXACT)
          || row.measurement() == null) {
        continue;
      }
      for (Row exact : rows) {
        if (exact.measured().attention().equals(BenchmarkedAttention.EXACT)
            && exact.measured().causal() == causal
            && exact.measured().length() == row.measured().length()
            && exact.measurement() != null) {
          result
              .computeIfAbsent(row.measured().label(), k -> new LinkedHashMap<>())
              .put(
                  "" + row.measured().length(),
                  exact.measurement().trainMs() / row.measurement().trainMs());
        }
      }
    }
    return result;
  }

  /** Time on the left, memory on the right, both over the length and logarithmic. */
  public static void plot(List<Row> rows, Path file) {
    List<XYChart> charts = new ArrayList<>();
    charts.add(chart(rows, "Forward + backward", "milliseconds", Measurement::trainMs));
    charts.add(chart(rows, "Peak memory, forward + backward", "MB", Measurement::trainMb));
    OutputFile.write(
        file, out -> BitmapEncoder.saveBitmap(charts, 1, 2, out, BitmapEncoder.BitmapFormat.PNG));
  }

  private static XYChart chart(
      List<Row> rows, String title, String unit, ToDoubleFunction<Measurement> value) {
    XYChart chart =
        new XYChartBuilder()
            .width(760)
            .height(520)
            .title(title)
            .xAxisTitle("sequence length L")
            .yAxisTitle(unit)
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(LegendPosition.InsideNW);
    chart.getStyler().setYAxisGroupPosition(0, YAxisPosition.Left);
    for (String label : labels(rows)) {
      List<Integer> x = new ArrayList<>();
      List<Double> y = new ArrayList<>();
      for (Row row : rows) {
        if (row.measured().label().equals(label)
            && row.measurement() != null
            && value.applyAsDouble(row.measurement()) > 0) {
          x.add(row.measured().length());
          y.add(value.applyAsDouble(row.measurement()));
        }
      }
      if (!x.isEmpty()) {
        chart.addSeries(label, x, y);
      }
    }
    return chart;
  }

  private static Set<String> labels(List<Row> rows) {
    Set<String> labels = new LinkedHashSet<>();
    rows.forEach(r -> labels.add(r.measured().label()));
    return labels;
  }

  private static Measurement find(List<Row> rows, String label, int length) {
    return rows.stream()
        .filter(r -> r.measured().label().equals(label) && r.measured().length() == length)
        .map(Row::measurement)
        .filter(m -> m != null)
        .findFirst()
        .orElse(null);
  }
}
