package dev.performer.cli;

import static dev.performer.PerformerException.require;

import dev.performer.study.Reproduction;
import dev.performer.training.run.Progress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "reproduce",
    description = {
      "Train the shipped recipes' runs within a budget of time and compare them: softmax Transformer, Performers, unigram baseline.",
      "",
      "Steps follow from the budget and measured times; the runs of a recipe have equally many. results.md with tables and plots is",
      "written after every run; what an interruption left is done with --resume."
    })
final class ReproduceCommand extends PerformerCommand {
  private static final String NAMES =
      "protein-causal, protein-masked, pixels, long-range, weight-transfer, redraw, text-bytes";

  @Option(names = "--budget", description = "Time for all runs, about, such as 10m or 8h.")
  private String budget = "1h";

  @Option(names = "--output", paramLabel = "DIR", description = "Where runs and results.md go.")
  private Path folder = Path.of("runs/reproduce");

  @Option(names = "--only", split = ",", description = "Only these of the shipped recipes.")
  private List<String> only = new ArrayList<>();

  @Option(names = "--recipe", description = "A recipe of your own instead of the shipped ones.")
  private List<Path> own = new ArrayList<>();

  @Option(names = "--resume", description = "Go on with what an interruption left in --output.")
  private boolean resume;

  @Override
  public Integer call() {
    List<Path> recipes = recipes();
    String plan = Reproduction.PLAN;
    boolean begun = Files.exists(folder.resolve(plan));
    String again = "%s holds results already; go on with --resume or another --output";
    require(resume || !begun, again, folder);
    require(begun || !resume, "%s holds nothing to go on with (no %s)", folder, plan);
    List<Path> folders = new ArrayList<>(List.of(home()));
    recipes.forEach(file -> folders.add(file.toAbsolutePath().getParent()));
    Path results =
        new Reproduction(recipes, folders, duration(), folder).run(Progress.on(System.err));
    print("Written: " + results);
    return done(Map.of("results", results));
  }

  private List<Path> recipes() {
    requireUsage(own.isEmpty() || only.isEmpty(), "--only and --recipe exclude each other");
    if (!own.isEmpty()) {
      return own;
    }
    List<String> known = List.of(NAMES.split(", "));
    for (String name : only) {
      requireUsage(known.contains(name), "--only %s: no such recipe; there are %s", name, NAMES);
    }
    return known.stream()
        .filter(name -> only.isEmpty() || only.contains(name))
        .map(name -> shipped("training/" + name + ".yaml"))
        .toList();
  }

  private Duration duration() {
    boolean isTime = budget.matches("\\d{1,6}[smh]") && !budget.matches("0+.");
    requireUsage(isTime, "--budget %s: expected a time such as 10m, 1h or 90s", budget);
    return Duration.parse("PT" + budget);
  }
}
