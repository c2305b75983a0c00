package dev.performer.study;

import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.RunDirectory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

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
                + " of the validation data after the last step. A step's time is the median."
                + " Plots leave out the loss of random weights before its first step.%n",
            duration(budgetSeconds),
            Runtime.getRuntime().availableProcessors()));
    try {
      for (Reproduction.Comparison comparison : comparisons) {
        section(text, comparison);
        if (OptionalLibrary.CHARTS.isPresent()) {
          AtomicFiles.write(
              output.resolve(comparison.name() + ".png"), ReproductionChart.of(comparison).png());
          text.append("\n![").append(comparison.name()).append("](");
          text.append(comparison.name()).append(".png)\n");
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

  private static void section(StringBuilder text, Reproduction.Comparison comparison) {
    boolean full = comparison.results().stream().anyMatch(r -> r.fullLengthMs() != null);
    List<String> more =
        comparison.results().stream()
            .flatMap(result -> result.after().more().keySet().stream())
            .distinct()
            .sorted()
            .toList();
    List<String> columns = new ArrayList<>(List.of("run", "steps"));
    columns.addAll(isNumbers(comparison) ? List.of("loss") : List.of("accuracy", "perplexity"));
    columns.addAll(more);
    columns.addAll(List.of("before", "ms a step"));
    if (full) {
      columns.add("ms a step at L = " + comparison.recipe().data().length());
    }
    text.append("\n## ").append(comparison.name()).append("\n\n");
    text.append(comparison.title()).append("\n\n");
    row(text, columns);
    text.append("|---".repeat(columns.size())).append("|\n");
    if (comparison.baseline() != null) {
      List<String> cells = new ArrayList<>(List.of(baseline(comparison), ""));
      cells.addAll(scores(comparison.baseline(), more));
      cells.addAll(List.of("", ""));
      if (full) {
        cells.add("");
      }
      row(text, cells);
    }
    for (Reproduction.Result result : comparison.results()) {
      List<String> cells = new ArrayList<>(List.of(result.name(), "" + result.steps()));
      cells.addAll(scores(result.after(), more));
      cells.add(String.join(", ", scores(result.before(), List.of())));
      cells.add(String.format(Locale.ROOT, "%.0f", result.stepMs()));
      if (full) {
        cells.add(String.format(Locale.ROOT, "%.0f", result.fullLengthMs()));
      }
      row(text, cells);
    }
  }

  private static void row(StringBuilder text, List<String> cells) {
    cells.forEach(cell -> text.append("| ").append(cell).append(cell.isEmpty() ? "" : " "));
    text.append("|\n");
  }

  static boolean isNumbers(Reproduction.Comparison comparison) {
    return comparison.recipe().task().hasNumbers();
  }

  static String baseline(Reproduction.Comparison comparison) {
    return isNumbers(comparison) ? "mean" : "unigram baseline";
  }

  private static List<String> scores(Evaluation evaluation, List<String> more) {
    List<String> scores = new ArrayList<>();
    if (Double.isNaN(evaluation.accuracy())) {
      scores.add(String.format(Locale.ROOT, "%.4f", evaluation.loss()));
    } else {
      scores.add(String.format(Locale.ROOT, "%.2f %%", 100 * evaluation.accuracy()));
      scores.add(String.format(Locale.ROOT, "%.3f", evaluation.perplexity()));
    }
    for (String name : more) {
      Double value = evaluation.more().get(name);
      scores.add(value == null || value.isNaN() ? "" : String.format(Locale.ROOT, "%.4f", value));
    }
    return scores;
  }
}
