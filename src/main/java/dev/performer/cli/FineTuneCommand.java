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
import dev.performer.training.ModelTraining;
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
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code fine-tune}: continue training a SavedModel, Python's included. */
@Command(
    name = "fine-tune",
    modelTransformer = LoopFlags.class,
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
  /** Besides the flags of the loop. */
  private static final List<String> SET_BY_RECIPE =
      List.of("--length", "--crop", "--batch-tokens", "--continue-optimizer");

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

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    if (Files.exists(at.run.resolve(ModelTraining.MODEL)) && !at.resume) {
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
        FineTuneJob.of(spec, SequenceSource.file(data), at.run)
            .validation(validation == null ? null : SequenceSource.file(validation))
            .batching(batching.batching())
            .options(LoopFlags.of(this.spec))
            .resuming(at.resume)
            .debuggingNumerics(at.debugNumerics)
            .continuingOptimizer(continueOptimizer);
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
    Stream.concat(LoopFlags.names().stream(), SET_BY_RECIPE.stream())
        .filter(spec.commandLine().getParseResult()::hasMatchedOption)
        .findFirst()
        .ifPresent(
            name -> {
              throw new UsageException(
                  name + " does not go with --teacher, where the recipe has it (--set KEY=VALUE)");
            });
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
    output.text().println(summary(result));
    output.text().println(TrainingSummary.written(at.run, outcome.model()));
    output.printJson(json(outcome));
    return result.finished() ? 0 : Failures.FAILED;
  }

  private static String summary(DistillResult result) {
    DistillEvaluation before = result.before();
    DistillEvaluation best = result.best();
    String accuracy =
        best.accuracy() == null
            ? ""
            : String.format(
                Locale.ROOT,
                ", accuracy %.2f %% -> %.2f %% (teacher %.2f %%)",
                100 * before.accuracy(),
                100 * best.accuracy(),
                100 * best.teacherAccuracy());
    return String.format(
        Locale.ROOT,
        "cosine to the teacher %.4f -> %.4f%s in %d steps, %.0f s",
        before.cosine(),
        best.cosine(),
        accuracy,
        result.steps(),
        result.seconds());
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
