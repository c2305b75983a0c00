package dev.performer.study;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.chart.Chart;
import dev.performer.chart.Line;
import dev.performer.training.run.Evaluation;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** The curves of the runs of one recipe. */
final class ReproductionChart {
  private ReproductionChart() {}

  /** Accuracy, or loss where numbers are guessed, on the validation data by step. */
  static Chart of(Reproduction.Comparison comparison) {
    boolean isNumbers = ReproductionReport.isNumbers(comparison);
    ToDoubleFunction<JsonNode> value =
        entry ->
            isNumbers ? entry.path("loss").asDouble() : 100 * entry.path("accuracy").asDouble();
    Chart chart =
        Chart.of(
            comparison.name(), "step", isNumbers ? "validation loss" : "validation accuracy (%)");
    double last = 1;
    for (Map.Entry<String, List<JsonNode>> run : comparison.metrics().entrySet()) {
      List<Double> steps = new ArrayList<>();
      List<Double> values = new ArrayList<>();
      for (JsonNode entry : run.getValue()) {
        last = Math.max(last, entry.path("step").asDouble());
        if (entry.path("kind").asText().equals("validation") && !isOffScale(comparison, entry)) {
          steps.add(entry.path("step").asDouble());
          values.add(value.applyAsDouble(entry));
        }
      }
      chart = chart.with(Line.of(run.getKey(), steps, values).withMarker(Line.Marker.CIRCLE));
    }
    Evaluation baseline = comparison.baseline();
    if (baseline == null) {
      return chart;
    }
    double level = isNumbers ? baseline.loss() : 100 * baseline.accuracy();
    var line =
        Line.of(ReproductionReport.baseline(comparison), List.of(0, last), List.of(level, level));
    return chart.with(line.withDash(Line.Dash.DASHED));
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
