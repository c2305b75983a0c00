package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.chart.Line;
import dev.performer.study.Reproduction.Comparison;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.RunDirectory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** {@code results.md}: a table and a plot for each recipe. */
final class ReproductionReport {
  private ReproductionReport() {}

  static void write(Path output, long budgetSeconds, List<Comparison> comparisons) {
    StringBuilder text = new StringBuilder();
    text.append(
        """
        # Results

        Written by `./performer reproduce`, with a budget of %s on %d cores. Within a table all runs \
        have the same data, order, seed and number of steps; perplexity and accuracy are \
        of the validation data after the last step. A step's time is the median. \
        Plots leave out the loss of random weights before its first step.
        """
            .formatted(duration(budgetSeconds), Runtime.getRuntime().availableProcessors()));
    try {
      for (Comparison comparison : comparisons) {
        String name = comparison.name();
        text.append("\n## %s\n\n%s\n\n".formatted(name, comparison.title()));
        text.append(table(comparison));
        if (OptionalLibrary.CHARTS.isPresent()) {
          AtomicFiles.write(output.resolve(name + ".png"), chart(comparison).png());
          text.append("\n![%s](%s.png)\n".formatted(name, name));
        }
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

  private static Table table(Comparison comparison) {
    boolean full = comparison.results().stream().anyMatch(r -> r.fullLengthMs() != null);
    List<String> more =
        comparison.results().stream()
            .flatMap(result -> result.after().more().keySet().stream())
            .distinct()
            .sorted()
            .toList();
    List<String> scores = new ArrayList<>();
    scores.addAll(isNumbers(comparison) ? List.of("loss") : List.of("accuracy", "perplexity"));
    scores.addAll(more);
    String atLength = "ms a step at L = " + comparison.recipe().data().length();
    int last = full ? 3 : 2;
    Table table =
        new Table(row(last, List.of("run", "steps"), scores, "before", "ms a step", atLength));
    if (comparison.baseline() != null) {
      List<String> name = List.of(baseline(comparison), "");
      table.row(row(last, name, scores(comparison.baseline(), more), "", "", ""));
    }
    for (Reproduction.Result result : comparison.results()) {
      table.row(
          row(
              last,
              List.of(result.name(), "" + result.steps()),
              scores(result.after(), more),
              String.join(", ", scores(result.before(), List.of())),
              format("%.0f", result.stepMs()),
              format("%.0f", result.fullLengthMs())));
    }
    return table;
  }

  /** Cells of a row; of the last ones so many. */
  private static String row(int count, List<String> first, List<String> scores, String... last) {
    return Stream.of(first, scores, List.of(last).subList(0, count))
        .flatMap(List::stream)
        .collect(Collectors.joining(" | "));
  }

  private static boolean isNumbers(Comparison comparison) {
    return comparison.recipe().task().hasNumbers();
  }

  private static String baseline(Comparison comparison) {
    return isNumbers(comparison) ? "mean" : "unigram baseline";
  }

  private static List<String> scores(Evaluation evaluation, List<String> more) {
    List<String> scores = new ArrayList<>();
    if (Double.isNaN(evaluation.accuracy())) {
      scores.add(format("%.4f", evaluation.loss()));
    } else {
      scores.add(format("%.2f %%", 100 * evaluation.accuracy()));
      scores.add(format("%.3f", evaluation.perplexity()));
    }
    for (String name : more) {
      double value = evaluation.more().getOrDefault(name, Double.NaN);
      scores.add(Double.isNaN(value) ? "" : format("%.4f", value));
    }
    return scores;
  }

  /** Accuracy, or loss where numbers are guessed, on the validation data by step. */
  private static Chart chart(Comparison comparison) {
    boolean isNumbers = isNumbers(comparison);
    Evaluation baseline = comparison.baseline();
    double level =
        baseline == null ? Double.NaN : isNumbers ? baseline.loss() : 100 * baseline.accuracy();
    String title = isNumbers ? "validation loss" : "validation accuracy (%)";
    Chart chart = Chart.of(comparison.name(), "step", title);
    double last = 1;
    for (var run : comparison.metrics().entrySet()) {
      List<Double> steps = new ArrayList<>();
      List<Double> values = new ArrayList<>();
      for (JsonNode entry : run.getValue()) {
        double step = entry.path("step").asDouble();
        double value =
            isNumbers ? entry.path("loss").asDouble() : 100 * entry.path("accuracy").asDouble();
        // Before the first step a model from random weights is worse than counting, so much so that
        // what tells runs apart would not be seen; weights that were carried over are not.
        boolean isOffScale = step == 0 && (isNumbers ? value > level : value < level);
        if (entry.path("kind").asText().equals("validation") && !isOffScale) {
          steps.add(step);
          values.add(value);
        }
        last = Math.max(last, step);
      }
      chart = chart.with(Line.of(run.getKey(), steps, values).withMarker(Line.Marker.CIRCLE));
    }
    var line = Line.of(baseline(comparison), List.of(0, last), List.of(level, level));
    return chart.with(line.withDash(Line.Dash.DASHED)); // left out without a level
  }
}
