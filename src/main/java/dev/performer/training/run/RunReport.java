package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Formatter;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** {@code report.md} of a run: what came of it, its curves, from metrics, and the recipe. */
final class RunReport {
  private RunReport() {}

  static void write(Path run, List<JsonNode> entries, TrainingResult result) {
    var text = new Formatter(Locale.ROOT);
    text.format("# Training report%n%n| | before | best | last |%n|---|---|---|---|%n");
    row(text, "step", "%.0f", 0, result.bestStep(), result.steps());
    result.best().measures().keySet().forEach(name -> measure(text, name, result));
    String end = result.finished() ? "is finished" : "was stopped and can be resumed";
    String line = "%n%d tokens in %.1f s of training steps: %.0f tokens/s. The run %s.%n";
    text.format(line, result.tokens(), result.seconds(), result.tokensPerSecond(), end);
    if (!result.unusedVariables().isEmpty()) {
      String unused = String.join(", ", result.unusedVariables());
      text.format("%nVariables that do not act on the loss: %s%n", unused);
    }
    try {
      Chart gradient = gradient(entries);
      if (OptionalLibrary.CHARTS.isPresent() && !gradient.isEmpty()) {
        AtomicFiles.write(run.resolve("gradient.png"), gradient.png());
        text.format("%n![loss](loss.png)%n%n![gradient norm and learning rate](gradient.png)%n");
      }
      diagnostics(text, entries);
      Path recipe = run.resolve("recipe.yaml");
      if (Files.exists(recipe)) {
        text.format("%n## Recipe%n%n```yaml%n%s```%n", Files.readString(recipe));
      }
      AtomicFiles.write(run.resolve("report.md"), text.toString().getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new PerformerException("cannot write report.md: " + RunDirectory.describe(e), e);
    }
  }

  private static void measure(Formatter text, String name, TrainingResult result) {
    boolean isNats = name.equals("loss") && !Double.isNaN(result.best().perplexity());
    boolean isShare = name.equals("accuracy");
    double[] values =
        Stream.of(result.before(), result.best(), result.after())
            .mapToDouble(e -> (isShare ? 100 : 1) * e.measures().getOrDefault(name, Double.NaN))
            .toArray();
    String title = "validation " + name + (isNats ? " (nats)" : isShare ? " (%)" : "");
    row(text, title, isShare ? "%.2f" : name.equals("perplexity") ? "%.3f" : "%.4f", values);
  }

  private static void row(Formatter text, String name, String format, double... values) {
    text.format("| %s", name);
    for (double value : values) {
      text.format(" | " + format, value);
    }
    text.format(" |%n");
  }

  private static void diagnostics(Formatter text, List<JsonNode> entries) {
    var all = of("diagnostics", entries);
    if (all.isEmpty()) {
      return;
    }
    JsonNode last = all.get(all.size() - 1);
    long step = last.path("step").asLong();
    text.format("%n## Random features at step %d%n%n| | |%n|---|---|%n", step);
    for (var field : last.properties()) {
      if (field.getValue().isDouble()) {
        row(text, field.getKey(), "%.4g", field.getValue().asDouble());
      }
    }
  }

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

  private static Chart gradient(List<JsonNode> entries) {
    return chart("Gradient norm and learning rate", "gradient norm", 400, "learning rate")
        .with(line("gradient norm", entries, "training", "gradientNorm"))
        .with(line("learning rate", entries, "training", "learningRate").onTheRight());
  }

  private static Chart chart(String title, String left, int height, String right) {
    var layout = new Chart.Layout(900, height, Scale.LINEAR, Scale.LINEAR, Chart.Legend.BELOW);
    return Chart.of(title, "step", left, layout).withRightTitle(right);
  }

  private static Line line(String name, List<JsonNode> entries, String kind, String field) {
    var some = of(kind, entries);
    var steps = some.stream().map(entry -> entry.path("step").asDouble()).toList();
    var values = some.stream().map(entry -> entry.path(field).asDouble(Double.NaN)).toList();
    return Line.of(name, steps, values);
  }

  private static List<JsonNode> of(String kind, List<JsonNode> entries) {
    return entries.stream().filter(e -> e.path("kind").asText().equals(kind)).toList();
  }
}
