package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** {@code report.md} of a run: what came of it, its curves, and the recipe. */
final class RunReport {
  /** Beside the report. */
  static final String GRADIENT_PLOT = "gradient.png";

  private RunReport() {}

  static void write(Path run, List<JsonNode> entries, TrainingResult result) {
    StringBuilder text = new StringBuilder("# Training report\n\n");
    text.append("| | before | best | last |\n|---|---|---|---|\n");
    row(text, "step", "%.0f", 0, result.bestStep(), result.steps());
    for (String name : result.best().measures().keySet()) {
      measure(text, name, result);
    }
    text.append(
        String.format(
            Locale.ROOT,
            "%n%d tokens in %.1f s of training steps: %.0f tokens/s. %s%n",
            result.tokens(),
            result.seconds(),
            result.tokensPerSecond(),
            result.finished()
                ? "The run is finished."
                : "The run was stopped and can be resumed."));
    if (!result.unusedVariables().isEmpty()) {
      text.append("\nVariables that do not act on the loss: ")
          .append(String.join(", ", result.unusedVariables()))
          .append("\n");
    }
    try {
      Chart gradient = TrainingCharts.gradient(entries);
      if (OptionalLibrary.CHARTS.isPresent() && !gradient.isEmpty()) {
        AtomicFiles.write(run.resolve(GRADIENT_PLOT), gradient.png());
        text.append("\n![loss](loss.png)\n\n![gradient norm and learning rate](gradient.png)\n");
      }
      diagnostics(text, entries);
      Path recipe = run.resolve("recipe.yaml");
      if (Files.exists(recipe)) {
        text.append("\n## Recipe\n\n```yaml\n").append(Files.readString(recipe)).append("```\n");
      }
      AtomicFiles.write(run.resolve("report.md"), text.toString().getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new PerformerException("cannot write report.md: " + RunDirectory.describe(e), e);
    }
  }

  private static void measure(StringBuilder text, String name, TrainingResult result) {
    boolean ofNumbers = Double.isNaN(result.best().perplexity());
    String title =
        switch (name) {
          case "loss" -> ofNumbers ? "validation loss" : "validation loss (nats)";
          case "accuracy" -> "validation accuracy (%)";
          default -> "validation " + name;
        };
    String format =
        switch (name) {
          case "perplexity" -> "%.3f";
          case "accuracy" -> "%.2f";
          default -> "%.4f";
        };
    double scale = name.equals("accuracy") ? 100 : 1;
    row(
        text,
        title,
        format,
        scale * measured(result.before(), name),
        scale * measured(result.best(), name),
        scale * measured(result.after(), name));
  }

  private static double measured(Evaluation evaluation, String name) {
    return evaluation.measures().getOrDefault(name, Double.NaN);
  }

  private static void row(StringBuilder text, String name, String format, double... values) {
    text.append("| ").append(name);
    for (double value : values) {
      text.append(" | ").append(String.format(Locale.ROOT, format, value));
    }
    text.append(" |\n");
  }

  private static void diagnostics(StringBuilder text, List<JsonNode> entries) {
    JsonNode last = null;
    for (JsonNode entry : entries) {
      last = entry.path("kind").asText().equals("diagnostics") ? entry : last;
    }
    if (last != null) {
      text.append("\n## Random features at step ").append(last.path("step").asLong());
      text.append("\n\n| | |\n|---|---|\n");
      last.fields()
          .forEachRemaining(
              field -> {
                if (field.getValue().isDouble()) {
                  row(text, field.getKey(), "%.4g", field.getValue().asDouble());
                }
              });
    }
  }
}
