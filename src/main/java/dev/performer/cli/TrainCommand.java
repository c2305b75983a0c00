package dev.performer.cli;

import static dev.performer.PerformerException.require;

import dev.performer.data.Overrides;
import dev.performer.pipeline.Job;
import dev.performer.pipeline.TrainJob;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.Recipe.Runs;
import dev.performer.recipe.RecipeTraining;
import dev.performer.training.run.Progress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "train",
    description = {
      "Train a model from scratch, as a recipe specifies.",
      "",
      "The run directory gets recipe.yaml with every default written out, metrics.jsonl, events for TensorBoard, checkpoints/,",
      "report.md and, at the end, model/: a SavedModel with the weights of the best evaluation. Ctrl-C saves a checkpoint;",
      "--resume goes on from the newest one, bit for bit."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer train training/protein-causal.yaml --output runs/protein",
      "  ./performer train --resume --output runs/protein"
    })
final class TrainCommand extends PerformerCommand {
  @Mixin private SharedOptions.Run at;

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "RECIPE",
      description = "A recipe, YAML; with --resume the run's own may be left out.")
  private Path recipe;

  @Option(names = "--set", description = "KEY=VALUE over the recipe's, such as model.layers=2.")
  private List<String> settings = new ArrayList<>();

  @Option(names = "--run", description = "A run of the recipe: its settings, below --set.")
  private String name;

  @Option(names = "--from", description = "Start with the weights of a model, such as RUN/model.")
  private Path from;

  @Option(names = "--pause-at", description = "Stop after this step as Ctrl-C would.")
  private long pauseAt;

  @Override
  public Integer call() {
    Job.Outcome outcome =
        TrainJob.of(read(), at.run)
            .resuming(at.resume)
            .debuggingNumerics(at.debugNumerics)
            .pausingAt(pauseAt)
            .startingFrom(from)
            .run(Progress.on(System.err));
    var summary = new Summary(outcome);
    print(summary.text());
    done(summary.json());
    var result = outcome.result();
    return result.finished() || pauseAt > 0 && result.steps() >= pauseAt ? 0 : Failures.FAILED;
  }

  private Recipe read() {
    Path file = recipe;
    if (file == null) {
      requireUsage(at.resume, "a recipe is missing; only --resume goes without");
      String own = RecipeTraining.RECIPE;
      file = at.run.resolve(own);
      require(Files.exists(file), "%s holds no run to resume (no %s)", at.run, own);
    }
    List<String> all = new ArrayList<>();
    if (name != null && Files.isRegularFile(file)) {
      Runs.Run run = Runs.read(file).named(name);
      requireUsage(
          run.from() == null || from != null || at.resume,
          "run %s starts with the weights of run %s; train that one first and give its model: --from RUN/model",
          name,
          run.from());
      all.addAll(run.set());
    }
    all.addAll(settings);
    return recipe(file, all);
  }

  /** Reads a recipe with settings over it; its data are looked up beside it and in the project. */
  static Recipe recipe(Path file, List<String> settings) {
    require(Files.isRegularFile(file), "%s is no file; expected a recipe in YAML", file);
    var overrides = new Overrides(settings);
    List<Path> folders = List.of(home(), file.toAbsolutePath().getParent());
    return Recipe.of(overrides.read(file), overrides.source(file.toString()), folders);
  }

  /** What {@code train} and {@code fine-tune} report of a run at its end. */
  record Summary(Job.Outcome outcome) {
    /** For a person: the exported weights against those before. */
    String text() {
      var result = outcome.result();
      return format(
          "validation %s -> %s in %d steps, %.0f s, %.0f tokens/s%n%s",
          result.before().describe(),
          result.best().describe(),
          result.steps(),
          result.seconds(),
          result.tokensPerSecond(),
          written(outcome.run(), outcome.model()));
    }

    static String written(Path run, Optional<Path> model) {
      return "Written: " + run + model.map(m -> ", the model is " + m).orElse("");
    }

    /**
     * For a machine. Each measure of the validation data, such as {@code loss} and {@code
     * perplexity}, comes thrice: {@code …Before} the first step, {@code …After} with the weights of
     * the best evaluation, which are those of the export, and {@code …Last} after the last step.
     */
    Map<String, Object> json() {
      var result = outcome.result();
      Map<String, Object> json = new LinkedHashMap<>();
      result.before().measures().forEach((name, value) -> json.put(name + "Before", value));
      result.best().measures().forEach((name, value) -> json.put(name + "After", value));
      result.after().measures().forEach((name, value) -> json.put(name + "Last", value));
      json.put("bestStep", result.bestStep());
      json.put("steps", result.steps());
      json.put("finished", result.finished());
      json.put("tokens", result.tokens());
      json.put("seconds", result.seconds());
      json.put("tokensPerSecond", result.tokensPerSecond());
      json.put("run", outcome.run());
      json.put("model", outcome.model().orElse(null));
      return json;
    }
  }
}
