package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import java.util.ArrayList;
import java.util.List;

/** Curves of a run by step, of what {@link MetricsLog#entries} has. */
final class TrainingCharts {
  private TrainingCharts() {}

  /** Training loss and a measure of evaluations, or their loss where there is none. */
  static Chart loss(List<JsonNode> entries, String measure) {
    boolean isNats = entries.stream().anyMatch(entry -> entry.has("perplexity"));
    boolean isMeasured = entries.stream().anyMatch(entry -> entry.has(measure));
    String field = isMeasured ? measure : "loss";
    String name = "validation " + field;
    return chart("Training", isNats ? "training loss (nats per token)" : "training loss", 500, name)
        .with(line("training loss", entries, "training", "loss"))
        .with(line(name, entries, "validation", field).withMarker(Line.Marker.CIRCLE).onTheRight());
  }

  /** Gradient norm and learning rate. */
  static Chart gradient(List<JsonNode> entries) {
    return chart("Gradient norm and learning rate", "gradient norm", 400, "learning rate")
        .with(line("gradient norm", entries, "training", "gradientNorm"))
        .with(line("learning rate", entries, "training", "learningRate").onTheRight());
  }

  private static Chart chart(String title, String left, int height, String right) {
    var layout = new Chart.Layout(900, height, Scale.LINEAR, Scale.LINEAR, Chart.Legend.BELOW);
    return Chart.of(title, "step", left, layout).withRightTitle(right);
  }

  private static Line line(String name, List<JsonNode> entries, String kind, String field) {
    List<Double> steps = new ArrayList<>();
    List<Double> values = new ArrayList<>();
    for (JsonNode entry : entries) {
      if (entry.path("kind").asText().equals(kind)) {
        steps.add(entry.path("step").asDouble());
        values.add(entry.path(field).asDouble(Double.NaN));
      }
    }
    return Line.of(name, steps, values);
  }
}
