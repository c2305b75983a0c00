package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** {@code results.md}: a table and a plot for each recipe. */
final class ReproductionReport {
  private ReproductionReport() {}

  static void write(Path output, long budgetSeconds, List<Reproduction.Comparison> comparisons) {
    StringBuilder text = new StringBuilder("# Results\n\n");
    text.append(
        String.format(
            Locale.ROOT,
            "Written by `./performer reproduce`, with a budget of %s on %d cores. Within a table all runs"
                + " have the same data, order, seed and number of steps; perplexity and accuracy are"
                + " of the validation data after the last step. A step's time is the median.%n",
            duration(budgetSeconds),
            Runtime.getRuntime().availableProcessors()));
    try {
      for (Reproduction.Comparison comparison : comparisons) {
        section(text, comparison);
        plot(output.resolve(comparison.name() + ".png"), comparison);
        text.append("\n![").append(comparison.name()).append("](");
        text.append(comparison.name()).append(".png)\n");
      }
      AtomicFiles.write(
          output.resolve(Reproduction.RESULTS), text.toString().getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new PerformerException(
          "cannot write the results in " + output + ": " + RunDirectory.describe(e), e);
    }
  }

  private static String duration(long seconds) {
    return seconds % 60 == 0 ? seconds / 60 + " minutes" : seconds + " seconds";
  }

  private static void section(StringBuilder text, Reproduction.Comparison comparison) {
    boolean pixels = comparison.recipe().data().kind() == RecipeData.Kind.PIXELS;
    boolean full = comparison.results().stream().anyMatch(r -> r.fullLengthMs() != null);
    text.append("\n## ").append(comparison.name()).append("\n\n");
    text.append(comparison.title()).append("\n\n| run | steps | accuracy | perplexity |");
    text.append(pixels ? " bits/dimension |" : "").append(" before | ms a step |");
    text.append(full ? " ms a step at L = " + comparison.recipe().data().length() + " |" : "");
    text.append("\n|---|---|---|---|---|---|").append(pixels ? "---|" : "");
    text.append(full ? "---|" : "").append('\n');
    if (comparison.baseline() != null) {
      text.append("| unigram baseline | | ").append(scores(comparison.baseline(), pixels));
      text.append(" | | |").append(full ? " |" : "").append('\n');
    }
    for (Reproduction.Result result : comparison.results()) {
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %s | %.1f %%, %.3f | %.0f |",
              result.name(),
              result.steps(),
              scores(result.after(), pixels),
              100 * result.before().accuracy(),
              result.before().perplexity(),
              result.stepMs()));
      if (full) {
        text.append(String.format(Locale.ROOT, " %.0f |", result.fullLengthMs()));
      }
      text.append('\n');
    }
  }

  private static String scores(Evaluation evaluation, boolean pixels) {
    return String.format(
            Locale.ROOT, "%.2f %% | %.3f", 100 * evaluation.accuracy(), evaluation.perplexity())
        + (pixels ? String.format(Locale.ROOT, " | %.4f", evaluation.loss() / Math.log(2)) : "");
  }

  /** Accuracy on the validation data by step. */
  private static void plot(Path file, Reproduction.Comparison comparison) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(900)
            .height(500)
            .title(comparison.name())
            .xAxisTitle("step")
            .yAxisTitle("validation accuracy (%)")
            .build();
    chart.getStyler().setLegendPosition(LegendPosition.OutsideE);
    for (Map.Entry<String, List<JsonNode>> run : comparison.metrics().entrySet()) {
      List<Double> steps = new ArrayList<>();
      List<Double> values = new ArrayList<>();
      for (JsonNode entry : run.getValue()) {
        if (entry.path("kind").asText().equals("validation")) {
          steps.add(entry.path("step").asDouble());
          values.add(100 * entry.path("accuracy").asDouble());
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
      double value = 100 * comparison.baseline().accuracy();
      chart
          .addSeries("unigram baseline", new double[] {0, last}, new double[] {value, value})
          .setMarker(SeriesMarkers.NONE);
    }
    AtomicFiles.write(
        file, out -> BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG));
  }
}
