package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Gradient norm and learning rate by step, as a PNG. */
final class GradientPlot {
  private GradientPlot() {}

  /** Draws what {@link MetricsLog#entries} has. @return false if no step is in it */
  static boolean write(Path file, List<JsonNode> entries) throws IOException {
    List<Double> steps = new ArrayList<>();
    List<Double> norms = new ArrayList<>();
    List<Double> rates = new ArrayList<>();
    for (JsonNode entry : entries) {
      if (entry.path("kind").asText().equals("training")) {
        steps.add(entry.path("step").asDouble());
        norms.add(entry.path("gradientNorm").asDouble());
        rates.add(entry.path("learningRate").asDouble());
      }
    }
    if (steps.isEmpty()) {
      return false;
    }
    XYChart chart =
        new XYChartBuilder()
            .width(900)
            .height(400)
            .title("Gradient norm and learning rate")
            .xAxisTitle("step")
            .yAxisTitle("gradient norm")
            .build();
    chart.setYAxisGroupTitle(1, "learning rate");
    chart.getStyler().setYAxisGroupPosition(1, Styler.YAxisPosition.Right);
    chart.addSeries("gradient norm", steps, norms).setMarker(SeriesMarkers.NONE);
    var rate = chart.addSeries("learning rate", steps, rates);
    rate.setMarker(SeriesMarkers.NONE);
    rate.setYAxisGroup(1);
    AtomicFiles.write(
        file, out -> BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG));
    return true;
  }
}
