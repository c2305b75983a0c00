package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Training loss and a measure of evaluations by step, as a PNG. */
final class LossPlot {
  private LossPlot() {}

  /**
   * Draws what {@link MetricsLog#entries} has; nothing if it has no finite number.
   *
   * @param measure of the evaluations; where there is none, the loss
   */
  static void write(Path file, List<JsonNode> entries, String measure) {
    boolean isNats = entries.stream().anyMatch(entry -> entry.has("perplexity"));
    boolean isMeasured = entries.stream().anyMatch(entry -> entry.has(measure));
    String loss = isNats ? "training loss (nats per token)" : "training loss";
    String field = isMeasured ? measure : "loss";
    String name = "validation " + field;
    XYChart chart =
        new XYChartBuilder()
            .width(900)
            .height(500)
            .title("Training")
            .xAxisTitle("step")
            .yAxisTitle(loss)
            .build();
    chart.setYAxisGroupTitle(1, name);
    chart.getStyler().setYAxisGroupPosition(1, Styler.YAxisPosition.Right);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideS);
    boolean any = add(chart, entries, "training", "loss", "training loss", 0);
    any |= add(chart, entries, "validation", field, name, 1);
    if (!any) {
      return;
    }
    try {
      AtomicFiles.write(
          file, out -> BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG));
    } catch (IOException e) {
      throw new PerformerException(
          "cannot write " + file + ": " + RunDirectory.describe(e) + "; make room and resume", e);
    }
  }

  private static boolean add(
      XYChart chart, List<JsonNode> entries, String kind, String field, String name, int axis) {
    List<Double> steps = new ArrayList<>();
    List<Double> values = new ArrayList<>();
    for (JsonNode entry : entries) {
      double value = entry.path(field).asDouble(Double.NaN);
      if (entry.path("kind").asText().equals(kind) && Double.isFinite(value)) {
        steps.add(entry.path("step").asDouble());
        values.add(value);
      }
    }
    if (!steps.isEmpty()) {
      XYSeries series = chart.addSeries(name, steps, values);
      series.setYAxisGroup(axis);
      series.setMarker(axis == 0 ? SeriesMarkers.NONE : SeriesMarkers.CIRCLE);
    }
    return !steps.isEmpty();
  }
}
