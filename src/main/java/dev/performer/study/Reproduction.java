package dev.performer.study;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Overrides;
import dev.performer.data.StrictJson;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.Recipe.Runs;
import dev.performer.recipe.Recipe.Runs.Run;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.TrainerLog;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;

/**
 * Trains all runs of some recipes within a budget of time, each recipe's with equal steps, and
 * writes {@code results.md} with tables and plots.
 *
 * <pre>
 * plan.json            steps of each recipe, from measured times of a step
 * RECIPE/RUN/          a run directory; result.json once it is done
 * results.md, *.png    what came of it so far
 * </pre>
 *
 * <p>What was done before an interruption is not done again.
 *
 * @param folders where the files are looked for that recipes name
 * @param budget of all runs together
 */
public record Reproduction(List<Path> recipes, List<Path> folders, Duration budget, Path output) {
  /** In the output directory: what {@link #run} goes on with. */
  public static final String PLAN = "plan.json";

  static final String RESULTS = "results.md";
  private static final String RESULT = "result.json";
  private static final int PROBE_STEPS = 6;
  private static final int LEAST_STEPS = 20;
  private static final double MOST_TIMES = 10;
  private static final int LEAST_INTERVAL = 5;
  private static final int PROBED_BATCHES = 10; // a guess, where a recipe evaluates on all

  /** How many steps each recipe gets. */
  record Plan(long budgetSeconds, Map<String, Long> steps) {}

  /**
   * What came of a run, evaluated before the first step and after the last: the median milliseconds
   * of a step, also where all sequences have the full length; null where that was not measured.
   */
  record Result(
      String name,
      long steps,
      Evaluation before,
      Evaluation after,
      double stepMs,
      Double fullLengthMs,
      double seconds) {}

  /** Trains what is not trained yet, and gives {@code results.md}. */
  public Path run(Progress progress) {
    List<Runs> planned = recipes.stream().map(Runs::read).toList();
    Plan plan = plan(planned, progress);
    List<ReproductionReport> reports = new ArrayList<>();
    planned.forEach(recipe -> compare(recipe, plan, reports, progress));
    return output.resolve(RESULTS);
  }

  private void compare(Runs recipe, Plan plan, List<ReproductionReport> all, Progress progress) {
    Long steps = plan.steps.get(recipe.name());
    String begun = "%s was begun without the recipe %s; choose another directory";
    PerformerException.require(steps != null, begun, output, recipe.name());
    Recipe first = withSteps(recipe.runs().get(0), steps);
    boolean hasBaseline = first.task().hasTokenLogits() || first.task().hasNumbers();
    Evaluation baseline = hasBaseline ? UnigramBaseline.of(first) : null;
    List<Result> results = new ArrayList<>();
    Map<String, List<JsonNode>> metrics = new LinkedHashMap<>();
    all.add(
        new ReproductionReport(recipe.name(), title(recipe), first, baseline, results, metrics));
    for (Run run : recipe.runs()) {
      progress.message("== %s, %s: %d steps".formatted(recipe.name(), run.name(), steps));
      Path directory = output.resolve(recipe.name()).resolve(run.name());
      results.add(result(run, steps, directory, progress));
      metrics.put(run.name(), metrics(directory));
      ReproductionReport.write(output, plan.budgetSeconds, all);
    }
  }

  private Result result(Run run, long steps, Path directory, Progress progress) {
    Path file = directory.resolve(RESULT);
    if (Files.exists(file)) {
      return StrictJson.read(file, Result.class);
    }
    Recipe recipe = withSteps(run, steps);
    Map<String, NpyArray> start =
        run.from() == null
            ? Map.of()
            : PerformerModels.load(directory.resolveSibling(run.from()).resolve("model")).weights();
    TrainingResult trained = train(recipe, directory, start, progress);
    if (!trained.finished()) {
      throw new PerformerException("stopped; what there is can be resumed").settledBy("resume");
    }
    double stepMs = medianStep(metrics(directory));
    var before = trained.before();
    var after = trained.after();
    Double full = fullLength(recipe);
    Result result =
        new Result(run.name(), trained.steps(), before, after, stepMs, full, trained.seconds());
    write(file, result);
    return result;
  }

  /** Goes on where there is a run. */
  private static TrainingResult train(
      Recipe recipe, Path directory, Map<String, NpyArray> start, Progress progress) {
    boolean isBegun = Files.exists(directory.resolve(RecipeTraining.RECIPE));
    var place = new ModelTraining.Place(directory, isBegun, false, 0);
    return RecipeTraining.run(recipe, place, start, () -> false, progress).result();
  }

  /** Where examples differ in length, those of full length are measured on their own. */
  private static Double fullLength(Recipe recipe) {
    if (recipe.data().exercise() == null) {
      return null;
    }
    int length = recipe.data().length();
    int rows = recipe.batchSize().rows(length);
    try (StepBenchmark benchmark = new StepBenchmark(recipe.model(), rows, length)) {
      return benchmark.medianMs(1, PROBE_STEPS);
    }
  }

  private Plan plan(List<Runs> planned, Progress progress) {
    Path file = output.resolve(PLAN);
    if (Files.exists(file)) {
      return StrictJson.read(file, Plan.class);
    }
    Map<String, Cost> costs = new LinkedHashMap<>();
    for (Runs recipe : planned) {
      Cost cost = recipe.runs().stream().map(this::cost).reduce(new Cost(0, 0), Cost::plus);
      costs.put(recipe.name(), cost);
      progress.message(
          Table.format("%s: about %.0f s in full", recipe.name(), cost.full + cost.start));
    }
    Map<String, Double> shares = shares(costs, budget.toMillis() / 1e3);
    Map<String, Long> steps = new LinkedHashMap<>();
    for (Runs recipe : planned) {
      long full = recipe(recipe.runs().get(0)).training().steps();
      steps.put(recipe.name(), Math.max(LEAST_STEPS, Math.round(shares.get(recipe.name()) * full)));
    }
    Plan plan = new Plan(budget.toSeconds(), steps);
    write(file, plan);
    return plan;
  }

  /** Seconds of the steps and evaluations that recipes configure, and of what is there once. */
  record Cost(double full, double start) {
    private Cost plus(Cost other) {
      return new Cost(full + other.full, start + other.start);
    }
  }

  /**
   * How much of its steps each recipe gets: the cheap ones all, the others equal times. Where all
   * get theirs and time is left, all get more.
   */
  static Map<String, Double> shares(Map<String, Cost> costs, double seconds) {
    double start = costs.values().stream().mapToDouble(Cost::start).sum();
    double left = Math.max(seconds / 4, seconds - start);
    double all = costs.values().stream().mapToDouble(Cost::full).sum();
    Map<String, Double> shares = new LinkedHashMap<>();
    if (all <= left) {
      double share = Math.min(MOST_TIMES, left / all);
      costs.keySet().forEach(name -> shares.put(name, share));
      return shares;
    }
    List<String> cheapFirst = new ArrayList<>(costs.keySet());
    cheapFirst.sort(Comparator.comparingDouble(name -> costs.get(name).full()));
    for (String name : cheapFirst) {
      double cost = costs.get(name).full();
      double mine = Math.min(cost, left / (cheapFirst.size() - shares.size()));
      shares.put(name, mine / cost);
      left -= mine;
    }
    return shares;
  }

  /** What a run would take, from a few steps. */
  private Cost cost(Run run) {
    LoopOptions full = recipe(run).training();
    String few =
        "warmupSteps=0 logEvery=1 evaluateEvery=0 evaluationBatches=1 patience=0 diagnosticsEvery=0 steps=";
    Recipe probe = recipe(run, (few + PROBE_STEPS).split(" "));
    try {
      Files.createDirectories(output);
      Path directory = AtomicFiles.createDirectoryBeside(output.resolve("probe"));
      try {
        long begun = System.nanoTime();
        train(probe, directory, Map.of(), Progress.silent());
        return cost(full, metrics(directory), (System.nanoTime() - begun) / 1e9);
      } finally {
        AtomicFiles.delete(directory);
      }
    } catch (IOException e) {
      throw RunDirectory.unwritable(output, e).settledBy("resume");
    }
  }

  private static Cost cost(LoopOptions full, List<JsonNode> probe, double wall) {
    double step = medianStep(probe) / 1e3;
    double batch = values(probe, "validation", "seconds").reduce(0, (one, next) -> next);
    double evaluations =
        1 + (full.evaluateEvery() == 0 ? 1.0 : (double) full.steps() / full.evaluateEvery());
    double batches = full.evaluationBatches() == 0 ? PROBED_BATCHES : full.evaluationBatches();
    return new Cost(
        step * full.steps() + batch * batches * evaluations,
        Math.max(0, wall - step * PROBE_STEPS - 2 * batch));
  }

  /** A recipe of a run with other steps, its intervals in proportion to them. */
  private Recipe withSteps(Run run, long steps) {
    LoopOptions options = recipe(run).training();
    double share = (double) steps / options.steps();
    long evaluateEvery = options.evaluateEvery();
    long every =
        evaluateEvery == 0 ? 0 : Math.max(LEAST_INTERVAL, Math.round(share * evaluateEvery));
    long warmup = Math.round(Math.min(1, share) * options.schedule().warmupSteps());
    long checkpointEvery = Math.max(LEAST_STEPS, steps / 5);
    long logEvery = Math.max(1, Math.min(10, steps / 10));
    String settings =
        "steps=%d warmupSteps=%d evaluateEvery=%d checkpointEvery=%d keepCheckpoints=1 diagnosticsEvery=0 logEvery=%d";
    settings = settings.formatted(steps, warmup, every, checkpointEvery, logEvery);
    return recipe(run, settings.split(" "));
  }

  private Recipe recipe(Run run, String... training) {
    var more = Stream.of(training).map("training."::concat);
    var all = new Overrides(Stream.concat(run.set().stream(), more).toList());
    return Recipe.of(all.read(run.recipe()), all.source(run.recipe().toString()), folders);
  }

  private static List<JsonNode> metrics(Path run) {
    return TrainerLog.read(run.resolve("metrics.jsonl"));
  }

  private static double medianStep(List<JsonNode> metrics) {
    double[] times = values(metrics, "training", "stepMilliseconds").sorted().toArray();
    return times[times.length / 2];
  }

  private static DoubleStream values(List<JsonNode> metrics, String kind, String name) {
    return metrics.stream()
        .filter(entry -> entry.path("kind").asText().equals(kind))
        .mapToDouble(entry -> entry.path(name).asDouble());
  }

  /** The first paragraph of the comment that a recipe begins with. */
  private static String title(Runs recipe) {
    Path file = recipe.runs().get(0).recipe();
    try (Stream<String> lines = Files.lines(file)) {
      var comment = lines.takeWhile(line -> line.startsWith("#") && line.length() > 1);
      String title =
          comment.map(line -> line.substring(1).strip()).collect(Collectors.joining(" "));
      return title.isEmpty() ? recipe.name() : title;
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static void write(Path file, Object json) {
    try {
      Files.createDirectories(file.getParent());
      StrictJson.write(file, json);
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e).settledBy("resume");
    }
  }
}
