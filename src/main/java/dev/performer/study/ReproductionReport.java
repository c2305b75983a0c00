package dev.performer.study;

import static dev.performer.study.Table.format;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.OptionalLibrary;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Line;
import dev.performer.data.DataFile;
import dev.performer.recipe.Recipe;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A recipe with what came of its runs, metrics by their names: a table and a plot in {@code
 * results.md}. The baseline is null where there is none.
 */
record ReproductionReport(
    String name,
    String title,
    Recipe recipe,
    Evaluation baseline,
    List<Reproduction.Result> results,
    Map<String, List<JsonNode>> metrics) {
  static void write(Path output, long budgetSeconds, List<ReproductionReport> recipes) {
    String head =
        """
        # Results

        Written by `./performer reproduce`, with a budget of %s on %d cores. Within a table all runs \
        have the same data, order, seed and number of steps; perplexity and accuracy are \
        of the validation data after the last step. A step's time is the median. \
        Plots leave out the loss of random weights before its first step.
        """
            .formatted(duration(budgetSeconds), Runtime.getRuntime().availableProcessors());
    StringBuilder text = new StringBuilder(head);
    for (ReproductionReport recipe : recipes) {
      String name = recipe.name;
      text.append("\n## %s\n\n%s\n\n%s".formatted(name, recipe.title, recipe.table()));
      if (OptionalLibrary.CHARTS.isPresent()) {
        byte[] png = recipe.chart().png();
        DataFile.write(output.resolve(name + ".png"), out -> out.write(png));
        text.append("\n![%s](%s.png)\n".formatted(name, name));
      }
    }
    byte[] content = text.toString().getBytes(UTF_8);
    DataFile.write(output.resolve(Reproduction.RESULTS), out -> out.write(content));
  }

  private static String duration(long seconds) {
    return seconds % 60 == 0 ? seconds / 60 + " minutes" : seconds + " seconds";
  }

  private Table table() {
    int last = results.stream().anyMatch(r -> r.fullLengthMs() != null) ? 3 : 2;
    var measured = results.stream().flatMap(result -> result.after().more().keySet().stream());
    List<String> more = measured.distinct().sorted().toList();
    List<String> scores =
        new ArrayList<>(isNumbers() ? List.of("loss") : List.of("accuracy", "perplexity"));
    scores.addAll(more);
    String atLength = "ms a step at L = " + recipe.data().length();
    Table table =
        new Table(row(last, List.of("run", "steps"), scores, "before", "ms a step", atLength));
    if (baseline != null) {
      table.row(row(last, List.of(baselineName(), ""), scores(baseline, more), "", "", ""));
    }
    for (var result : results) {
      var run = List.of(result.name(), "" + result.steps());
      String before = String.join(", ", scores(result.before(), List.of()));
      String ms = format("%.0f", result.stepMs());
      String fullMs = format("%.0f", result.fullLengthMs());
      table.row(row(last, run, scores(result.after(), more), before, ms, fullMs));
    }
    return table;
  }

  /** Cells of a row; of the last ones so many. */
  private static String row(int count, List<String> first, List<String> scores, String... last) {
    return Stream.of(first, scores, List.of(last).subList(0, count))
        .flatMap(List::stream)
        .collect(Collectors.joining(" | "));
  }

  private boolean isNumbers() {
    return recipe.task().hasNumbers();
  }

  private String baselineName() {
    return isNumbers() ? "mean" : "unigram baseline";
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
      Double value = evaluation.more().get(name);
      scores.add(value == null ? "" : format("%.4f", value));
    }
    return scores;
  }

  /** Accuracy, or loss where numbers are guessed, on the validation data by step. */
  private Chart chart() {
    boolean isNumbers = isNumbers();
    String measure = isNumbers ? "loss" : "accuracy";
    double scale = isNumbers ? 1 : 100;
    double level =
        baseline == null ? Double.NaN : isNumbers ? baseline.loss() : 100 * baseline.accuracy();
    Chart chart = Chart.of(name, "step", "validation " + measure + (isNumbers ? "" : " (%)"));
    double last = 1;
    for (var run : metrics.entrySet()) {
      List<Double> steps = new ArrayList<>();
      List<Double> values = new ArrayList<>();
      for (JsonNode entry : run.getValue()) {
        double step = entry.path("step").asDouble();
        double value = scale * entry.path(measure).asDouble();
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
    var line = Line.of(baselineName(), List.of(0, last), List.of(level, level));
    return chart.with(line.withDash(Line.Dash.DASHED)); // left out without a level
  }
}
