package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.study.Reproduction;
import dev.performer.training.run.Progress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code reproduce}: the paper's comparisons in small. */
@Command(
    name = "reproduce",
    description = {
      "Train the shipped recipes' runs within a budget of time and compare them: softmax Transformer, Performers, unigram baseline.",
      "",
      "Steps follow from the budget and measured times; the runs of a recipe have equally many. results.md with tables and plots is",
      "written after every run; what an interruption left is done with --resume."
    })
final class ReproduceCommand implements Callable<Integer> {
  private static final List<String> NAMES =
      List.of(
          "protein-causal",
          "protein-masked",
          "pixels",
          "long-range",
          "weight-transfer",
          "redraw",
          "text-bytes");

  private static final Pattern BUDGET = Pattern.compile("(\\d{1,6})([smh])");

  @Mixin private OutputOptions output;

  @Option(
      names = "--budget",
      defaultValue = "1h",
      paramLabel = "TIME",
      description = "About how long all runs take together, such as 10m or 8h (default: 1h).")
  private String budget;

  @Option(
      names = "--output",
      defaultValue = "runs/reproduce",
      paramLabel = "DIR",
      description = "Where runs and results.md go (default: ${DEFAULT-VALUE}).")
  private Path folder;

  @Option(
      names = "--only",
      split = ",",
      paramLabel = "NAME",
      description = "Only these of the shipped recipes.")
  private List<String> only = new ArrayList<>();

  @Option(
      names = "--recipe",
      paramLabel = "FILE",
      description = "A recipe of your own instead of the shipped ones.")
  private List<Path> own = new ArrayList<>();

  @Option(names = "--resume", description = "Go on with what an interruption left in --output.")
  private boolean resume;

  @Override
  public Integer call() {
    List<Path> recipes = recipes();
    boolean begun = Files.exists(folder.resolve(Reproduction.PLAN));
    if (begun && !resume) {
      throw new PerformerException(
          folder + " holds results already; go on with --resume, or choose another --output");
    }
    if (resume && !begun) {
      throw new PerformerException(
          folder + " holds nothing to go on with (no " + Reproduction.PLAN + ")");
    }
    List<Path> folders = new ArrayList<>(List.of(Project.home()));
    recipes.forEach(file -> folders.add(file.toAbsolutePath().getParent()));
    Path results =
        new Reproduction(recipes, folders, duration(), folder).run(Progress.on(System.err));
    output.text().println("Written: " + results);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("results", results.toString());
    output.printJson(json);
    return 0;
  }

  private List<Path> recipes() {
    if (!own.isEmpty()) {
      if (!only.isEmpty()) {
        throw new UsageException("--only and --recipe exclude each other");
      }
      return own;
    }
    for (String name : only) {
      if (!NAMES.contains(name)) {
        throw new UsageException(
            "--only " + name + ": no such recipe; there are " + String.join(", ", NAMES));
      }
    }
    return NAMES.stream()
        .filter(name -> only.isEmpty() || only.contains(name))
        .map(name -> Project.shipped("training/" + name + ".yaml"))
        .toList();
  }

  private Duration duration() {
    Matcher parts = BUDGET.matcher(budget);
    if (!parts.matches() || Long.parseLong(parts.group(1)) == 0) {
      throw new UsageException("--budget " + budget + ": expected a time such as 10m, 1h or 90s");
    }
    long number = Long.parseLong(parts.group(1));
    return switch (parts.group(2)) {
      case "s" -> Duration.ofSeconds(number);
      case "m" -> Duration.ofMinutes(number);
      default -> Duration.ofHours(number);
    };
  }
}
