package dev.performer.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.data.DataFile;
import dev.performer.data.Overrides;
import dev.performer.data.SequenceSource;
import dev.performer.distill.DistillEvaluation;
import dev.performer.distill.DistillRecipe;
import dev.performer.distill.DistillResult;
import dev.performer.pipeline.DistillJob;
import dev.performer.pipeline.FineTuneJob;
import dev.performer.pipeline.LanguageModelSpec;
import dev.performer.pipeline.Model;
import dev.performer.recipe.RecipeTraining;
import dev.performer.training.run.Progress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code fine-tune}: continue training a SavedModel, Python's included. */
@Command(
    name = "fine-tune",
    defaultValueProvider = LoopFlags.class,
    description = {
      "Continue training a SavedModel on FASTA sequences; or, with --teacher, make a model that attends by FAVOR+ compute what the",
      "same model computes with exact attention.",
      "",
      "The run directory gets config.json, metrics.jsonl, loss.png, checkpoints/ and, at the end, model/: the same model with",
      "the weights of the best evaluation. Ctrl-C saves a checkpoint; --resume goes on from it."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer fine-tune MODEL --data family.fasta.gz --output runs/family --steps 100",
      "  ./performer fine-tune favor --teacher exact --data family.fasta.gz --output runs/favor"
    })
final class FineTuneCommand implements Callable<Integer> {
  private static final List<String> SET_BY_RECIPE =
      List.of(
          "--steps",
          "--learning-rate",
          "--warmup",
          "--schedule",
          "--weight-decay",
          "--clip",
          "--evaluate-every",
          "--evaluation-batches",
          "--checkpoint-every",
          "--keep",
          "--log-every",
          "--seed",
          "--length",
          "--crop",
          "--batch-tokens",
          "--continue-optimizer");

  @Mixin private OutputOptions output;
  @Mixin private RunOptions at;
  @Mixin private LanguageModelOptions options;
  @Mixin private BatchingOptions batching;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel, or a run directory.")
  private Path model;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description =
          "Training sequences: FASTA, may be gzipped; with --teacher also an .npz of 'tokens' and 'mask' [N, L].")
  private Path data;

  @Option(
      names = "--teacher",
      paramLabel = "MODEL",
      description =
          "The same model with exact attention, whose layers MODEL shall match (knowledge distillation).")
  private Path teacher;

  @Option(
      names = "--recipe",
      paramLabel = "FILE",
      description = "With --teacher: how, such as training/softmax-to-favor.yaml (the default).")
  private Path recipe;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "With --teacher: a key of the recipe, such as training.steps=100.")
  private List<String> settings = new ArrayList<>();

  @Option(
      names = "--validation",
      paramLabel = "FILE",
      description = "Validation sequences (default: every 20th of --data is held out).")
  private Path validation;

  @Option(
      names = "--continue-optimizer",
      description =
          "Start from the moments of the optimizer that were imported with the model, not from zero.")
  private boolean continueOptimizer;

  @Option(
      names = "--steps",
      description = "Optimizer steps of the whole run (default: ${DEFAULT-VALUE}).")
  private long steps;

  @Option(
      names = "--learning-rate",
      description = "Peak learning rate (default: ${DEFAULT-VALUE}).")
  private double learningRate;

  @Option(names = "--warmup", description = "Steps until the peak (default: ${DEFAULT-VALUE}).")
  private long warmup;

  @Option(
      names = "--schedule",
      description =
          "After the peak: linear, cosine, constant or inverse-square-root (default: ${DEFAULT-VALUE}).")
  private String schedule;

  @Option(
      names = "--weight-decay",
      description = "Decoupled weight decay of matrices (default: ${DEFAULT-VALUE}).")
  private double weightDecay;

  @Option(
      names = "--clip",
      description = "Largest global norm of the gradient (default: ${DEFAULT-VALUE}).")
  private double clip;

  @Option(
      names = "--evaluate-every",
      description =
          "Steps between evaluations; 0 = before and after only (default: ${DEFAULT-VALUE}).")
  private long evaluateEvery;

  @Option(
      names = "--evaluation-batches",
      description = "Validation batches at most; 0 = all (default: ${DEFAULT-VALUE}).")
  private int evaluationBatches;

  @Option(
      names = "--checkpoint-every",
      description = "Steps between checkpoints; 0 = at the end only (default: ${DEFAULT-VALUE}).")
  private long checkpointEvery;

  @Option(
      names = "--keep",
      description = "Newest checkpoints that stay, besides the best (default: ${DEFAULT-VALUE}).")
  private int keep;

  @Option(
      names = "--log-every",
      description = "Steps between lines of metrics (default: ${DEFAULT-VALUE}).")
  private long logEvery;

  @Option(names = "--seed", description = "Of order, crops and masks (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    if (Files.exists(at.run.resolve(RecipeTraining.MODEL)) && !at.resume) {
      throw new PerformerException(
          at.run
              + ": holds a finished run; choose another --output, or --resume it with more --steps");
    }
    if (teacher != null) {
      return distill();
    }
    if (recipe != null || !settings.isEmpty()) {
      throw new UsageException("--recipe and --set need --teacher");
    }
    LanguageModelSpec spec = Model.open(model, options.options()).languageModel();
    requireData();
    spec.notes().forEach(System.err::println);
    FineTuneJob job =
        FineTuneJob.builder(spec, at.run)
            .train(SequenceSource.file(data))
            .validation(validation == null ? null : SequenceSource.file(validation))
            .batching(batching.batching())
            .options(LoopFlags.of(this.spec))
            .resume(at.resume)
            .debugNumerics(at.debugNumerics)
            .continueOptimizer(continueOptimizer)
            .build();
    FineTuneJob.Outcome outcome = job.run(Progress.on(System.err));
    TrainingSummary summary = TrainingSummary.of(outcome);
    summary.print(output);
    Map<String, Object> json = summary.json();
    json.put("maxOutputDifference", summary.maxOutputDifference());
    output.printJson(json);
    return outcome.result().finished() ? 0 : Failures.FAILED;
  }

  private void requireData() {
    DataFile.require(data);
    if (validation != null) {
      DataFile.require(validation);
    }
  }

  private int distill() {
    for (String name : SET_BY_RECIPE) {
      if (spec.commandLine().getParseResult().hasMatchedOption(name)) {
        throw new UsageException(
            name + " does not go with --teacher, where the recipe says it (--set KEY=VALUE)");
      }
    }
    Model student = Model.open(model, options.options());
    requireData();
    Overrides overrides = new Overrides(settings);
    DistillRecipe learning =
        DistillRecipe.of(
            recipe == null
                ? overrides.over(JsonNodeFactory.instance.objectNode())
                : overrides.read(recipe),
            overrides.source(recipe == null ? "the default recipe" : recipe.toString()));
    DistillJob job =
        DistillJob.of(student, Model.open(teacher), at.run)
            .with(learning)
            .resuming(at.resume)
            .debuggingNumerics(at.debugNumerics);
    DistillJob.Outcome outcome =
        job.run(data, Optional.ofNullable(validation), Progress.on(System.err));
    DistillResult result = outcome.result();
    output
        .text()
        .printf(
            Locale.ROOT,
            "cosine to the teacher %.4f -> %.4f%s in %d steps, %.0f s%n",
            result.before().cosine(),
            result.best().cosine(),
            result.best().accuracy() == null
                ? ""
                : String.format(
                    Locale.ROOT,
                    ", accuracy %.2f %% -> %.2f %% (teacher %.2f %%)",
                    100 * result.before().accuracy(),
                    100 * result.best().accuracy(),
                    100 * result.best().teacherAccuracy()),
            result.steps(),
            result.seconds());
    output
        .text()
        .println(
            "Written: "
                + at.run
                + (outcome.model().isPresent() ? ", the model is " + outcome.model().get() : ""));
    output.printJson(json(outcome));
    return result.finished() ? 0 : Failures.FAILED;
  }

  private static Map<String, Object> json(DistillJob.Outcome outcome) {
    DistillResult result = outcome.result();
    Map<String, Object> json = new LinkedHashMap<>();
    put(json, "Before", result.before());
    put(json, "After", result.best());
    json.put("bestStep", result.bestStep());
    json.put("steps", result.steps());
    json.put("finished", result.finished());
    json.put("reachedTarget", result.reachedTarget());
    json.put("tokens", result.tokens());
    json.put("seconds", result.seconds());
    json.put(
        "maxOutputDifference", outcome.model().isPresent() ? outcome.maxOutputDifference() : null);
    json.put("model", outcome.model().map(Path::toString).orElse(null));
    return json;
  }

  private static void put(Map<String, Object> json, String when, DistillEvaluation e) {
    json.put("loss" + when, e.loss());
    json.put("cosine" + when, e.cosine());
    if (e.accuracy() != null) {
      json.put("accuracy" + when, e.accuracy());
      json.put("relativeAccuracy" + when, e.relativeAccuracy());
      json.put("divergence" + when, e.divergence());
      json.put("teacherAccuracy", e.teacherAccuracy());
    }
  }
}
