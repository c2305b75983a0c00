package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Line;
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
    return Chart.of("Training", "step", isNats ? "training loss (nats per token)" : "training loss")
        .withRightTitle(name)
        .withLegend(Chart.Legend.BELOW)
        .with(line("training loss", entries, "training", "loss"))
        .with(line(name, entries, "validation", field).withMarker(Line.Marker.CIRCLE).onTheRight());
  }

  /** Gradient norm and learning rate. */
  static Chart gradient(List<JsonNode> entries) {
    return Chart.of("Gradient norm and learning rate", "step", "gradient norm")
        .withSize(900, 400)
        .withRightTitle("learning rate")
        .withLegend(Chart.Legend.BELOW)
        .with(line("gradient norm", entries, "training", "gradientNorm"))
        .with(line("learning rate", entries, "training", "learningRate").onTheRight());
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
