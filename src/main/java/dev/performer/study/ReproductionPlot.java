package dev.performer.study;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.training.run.Evaluation;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The curves of the runs of one recipe, as a PNG. */
final class ReproductionPlot {
  private ReproductionPlot() {}

  /** Accuracy, or loss where numbers are guessed, on the validation data by step. */
  static void write(Path file, Reproduction.Comparison comparison) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(900)
            .height(500)
            .title(comparison.name())
            .xAxisTitle("step")
            .yAxisTitle(
                ReproductionReport.isNumbers(comparison)
                    ? "validation loss"
                    : "validation accuracy (%)")
            .build();
    chart.getStyler().setLegendPosition(LegendPosition.OutsideE);
    for (Map.Entry<String, List<JsonNode>> run : comparison.metrics().entrySet()) {
      List<Double> steps = new ArrayList<>();
      List<Double> values = new ArrayList<>();
      for (JsonNode entry : run.getValue()) {
        if (entry.path("kind").asText().equals("validation") && !isOffScale(comparison, entry)) {
          steps.add(entry.path("step").asDouble());
          values.add(
              ReproductionReport.isNumbers(comparison)
                  ? entry.path("loss").asDouble()
                  : 100 * entry.path("accuracy").asDouble());
        }
      }
      if (!steps.isEmpty()) {
        chart.addSeries(run.getKey(), steps, values).setMarker(SeriesMarkers.CIRCLE);
      }
    }
    if (comparison.baseline() != null) {
      double last =
          comparison.metrics().values().stream()
              .flatMap(List::stream)
              .mapToDouble(entry -> entry.path("step").asDouble())
              .max()
              .orElse(1);
      double value =
          ReproductionReport.isNumbers(comparison)
              ? comparison.baseline().loss()
              : 100 * comparison.baseline().accuracy();
      chart
          .addSeries(
              ReproductionReport.baseline(comparison),
              new double[] {0, last},
              new double[] {value, value})
          .setMarker(SeriesMarkers.NONE);
    }
    AtomicFiles.write(
        file, out -> BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG));
  }

  /**
   * Before the first step a model from random weights is worse than counting, so much so that what
   * tells runs apart would not be seen; weights that were carried over are not.
   */
  private static boolean isOffScale(Reproduction.Comparison comparison, JsonNode entry) {
    Evaluation baseline = comparison.baseline();
    return baseline != null
        && entry.path("step").asLong() == 0
        && (ReproductionReport.isNumbers(comparison)
            ? entry.path("loss").asDouble() > baseline.loss()
            : entry.path("accuracy").asDouble() < baseline.accuracy());
  }
}
