package dev.performer.study;

import dev.performer.data.OutputFile;
import dev.performer.study.GenerationBenchmark.Measurement;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Times of generation as a Markdown table and a plot. */
public final class GenerationReport {
  private static final int POINTS = 32;

  private GenerationReport() {}

  /** Milliseconds a token in the first and last quarter, and of computing the prefix again. */
  public static String table(List<Measurement> rows, List<Integer> lengths) {
    StringBuilder text =
        new StringBuilder("| attention | token, first quarter | last quarter | last / first |");
    lengths.forEach(l -> text.append(" prefix of ").append(l).append(" again |"));
    text.append("\n|---|---|---|---|").append("---|".repeat(lengths.size())).append('\n');
    for (Measurement row : rows) {
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %.2f ms | %.2f ms | %.2f |",
              row.attention(),
              row.firstQuarterMs(),
              row.lastQuarterMs(),
              row.growth()));
      for (int length : lengths) {
        text.append(
            String.format(
                Locale.ROOT,
                " %.1f ms, %.1f× |",
                row.recomputeMs().get(length),
                row.timesFaster().get(length)));
      }
      text.append('\n');
    }
    return text.append(
            "\nMilliseconds a token, each the fastest of several runs; ×: how many times faster the"
                + " recurrent form is at that length.\n")
        .toString();
  }

  /** Both ways over the length, logarithmic. */
  public static void plot(List<Measurement> rows, Path file) {
    XYChart chart =
        new XYChartBuilder()
            .width(900)
            .height(560)
            .title("One more token")
            .xAxisTitle("tokens so far")
            .yAxisTitle("milliseconds")
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(LegendPosition.InsideNW);
    for (Measurement row : rows) {
      double[] times = row.tokenMs();
      int step = Math.max(1, times.length / POINTS);
      double[] x =
          IntStream.range(0, times.length / step).mapToDouble(i -> (i + 1) * step).toArray();
      double[] y =
          IntStream.range(0, x.length)
              .mapToDouble(
                  i -> Arrays.stream(times, i * step, (i + 1) * step).average().orElseThrow())
              .toArray();
      chart.addSeries(row.attention() + ", recurrent", x, y).setMarker(SeriesMarkers.NONE);
      chart.addSeries(
          row.attention() + ", prefix again",
          row.recomputeMs().keySet().stream().mapToDouble(l -> l).toArray(),
          row.recomputeMs().values().stream().mapToDouble(ms -> ms).toArray());
    }
    OutputFile.write(
        file, out -> BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG));
  }
}
