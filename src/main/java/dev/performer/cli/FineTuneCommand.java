package dev.performer.cli;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.data.DataFile;
import dev.performer.data.Overrides;
import dev.performer.data.SequenceSource;
import dev.performer.distill.DistillEvaluation;
import dev.performer.distill.DistillRecipe;
import dev.performer.pipeline.DistillJob;
import dev.performer.pipeline.FineTuneJob;
import dev.performer.pipeline.Job;
import dev.performer.pipeline.Model;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.Progress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

@Command(
    name = "fine-tune",
    modelTransformer = LoopFlags.class,
    defaultValueProvider = LoopFlags.class,
    description = {
      "Continue training a SavedModel on sequences; with --task or --loss, teach any model from labelled examples; or, with",
      "--teacher, make a model that attends by FAVOR+ compute what the same model computes with exact attention.",
      "",
      "The run directory gets config.json, metrics.jsonl, loss.png, checkpoints/ and, at the end, model/: the same model with",
      "the weights of the best evaluation. Ctrl-C saves a checkpoint; --resume goes on from it."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer fine-tune MODEL --data family.fasta.gz --output runs/family --steps 100",
      "  ./performer fine-tune BERT --task classification --data reviews.csv --output runs/reviews",
      "  ./performer fine-tune MODEL --loss note=binary-cross-entropy:target --data x.npz --output runs/notes",
      "  ./performer fine-tune favor --teacher exact --data family.fasta.gz --output runs/favor"
    })
final class FineTuneCommand extends PerformerCommand.OnModel {
  /** Besides the flags of the loop. */
  private static final List<String> SET_BY_RECIPE =
      List.of(
          "--length", "--crop", "--batch-tokens", "--continue-optimizer", "--evaluate-signature");

  @Mixin private SharedOptions.Run at;
  @Mixin private SharedOptions.LanguageModel options;
  @Mixin private SharedOptions.Batches batching;
  @Mixin private TaskOptions tasks;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description =
          "Training data. Sequences: X.fasta(.gz), or X.txt(.gz) with one a line; with --teacher also an .npz of 'tokens' and 'mask' [N, L]. With --task or --loss: CSV or TSV with a header, TFRecords, an .npz of arrays that are named like the signature's inputs with labels or targets beside them, or a folder with a folder of PNG images for each class.")
  private Path data;

  @Option(
      names = "--teacher",
      description = "The same model with exact attention, to be matched (knowledge distillation).")
  private Path teacher;

  @Option(
      names = "--recipe",
      description = "With --teacher (default: training/softmax-to-favor.yaml).")
  private Path recipe;

  @Option(names = "--set", description = "With --teacher: KEY=VALUE, such as training.steps=100.")
  private List<String> settings = new ArrayList<>();

  @Option(
      names = "--validation",
      description = "As --data, to evaluate on (default: every 20th of --data).")
  private Path validation;

  @Option(
      names = "--evaluate-signature",
      paramLabel = "NAME",
      description =
          "Evaluated in place of --signature, such as one without dropout; the export is used by it.")
  private String evaluateSignature;

  @Option(
      names = "--continue-optimizer",
      description = "Start from the imported moments of the optimizer, not from zero.")
  private boolean continueOptimizer;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    boolean isFinished = Files.exists(at.run.resolve(ModelTraining.MODEL));
    String again =
        "%s: holds a finished run; choose another --output, or --resume it with more --steps";
    require(at.resume || !isFinished, again, at.run);
    if (teacher != null) {
      return distill();
    }
    requireUsage(recipe == null && settings.isEmpty(), "--recipe and --set need --teacher");
    tasks.check();
    if (tasks.isGiven()) {
      return task();
    }
    var language = Model.open(model, options.given()).languageModel();
    requireData();
    language.notes().forEach(System.err::println);
    var outcome =
        FineTuneJob.of(language, SequenceSource.file(data), at.run)
            .validation(validation == null ? null : SequenceSource.file(validation))
            .batching(batching.batching())
            .options(LoopFlags.of(spec))
            .resuming(at.resume)
            .debuggingNumerics(at.debugNumerics)
            .evaluatedBy(evaluateSignature)
            .continuingOptimizer(continueOptimizer)
            .run(Progress.on(System.err));
    return report(outcome);
  }

  private int task() {
    requireData();
    Model opened = Model.open(model, options.given());
    var outcome =
        FineTuneJob.of(opened, tasks.task(), data, at.run)
            .validation(validation)
            .batching(tasks.batching(batching.batching()))
            .evaluatedBy(evaluateSignature)
            .options(LoopFlags.of(spec, FineTuneOptions.TASK_LOOP))
            .resuming(at.resume)
            .debuggingNumerics(at.debugNumerics)
            .run(Progress.on(System.err));
    return report(outcome);
  }

  private int report(Job.Outcome outcome) {
    var summary = new TrainCommand.Summary(outcome);
    print(summary.text());
    Map<String, Object> json = summary.json();
    Double difference = outcome.model().isPresent() ? outcome.maxOutputDifference() : null;
    json.put("maxOutputDifference", difference);
    done(json);
    return outcome.result().finished() ? 0 : Failures.FAILED;
  }

  private void requireData() {
    DataFile.require(data);
    if (validation != null) {
      DataFile.require(validation);
    }
  }

  private int distill() {
    var parsed = spec.commandLine().getParseResult();
    String other = "%s does not go with --teacher, where the recipe has it (--set KEY=VALUE)";
    Stream.concat(LoopFlags.names(), SET_BY_RECIPE.stream())
        .forEach(name -> requireUsage(!parsed.hasMatchedOption(name), other, name));
    Model student = Model.open(model, options.given());
    requireData();
    var overrides = new Overrides(settings);
    var none = JsonNodeFactory.instance.objectNode();
    var keys = recipe == null ? overrides.over(none) : overrides.read(recipe);
    String source = recipe == null ? "the default recipe" : recipe.toString();
    var learning = DistillRecipe.of(keys, overrides.source(source));
    DistillJob.Outcome outcome =
        DistillJob.of(student, Model.open(teacher), at.run)
            .with(learning)
            .resuming(at.resume)
            .debuggingNumerics(at.debugNumerics)
            .run(data, Optional.ofNullable(validation), Progress.on(System.err));
    var result = outcome.result();
    DistillEvaluation before = result.before();
    DistillEvaluation best = result.best();
    String text = format("cosine to the teacher %.4f -> %.4f", before.cosine(), best.cosine());
    if (best.accuracy() != null) {
      text +=
          format(
              ", accuracy %.2f %% -> %.2f %% (teacher %.2f %%)",
              100 * before.accuracy(), 100 * best.accuracy(), 100 * best.teacherAccuracy());
    }
    print("%s in %d steps, %.0f s", text, result.steps(), result.seconds());
    print(TrainCommand.Summary.written(at.run, outcome.model()));
    Map<String, Object> json = new LinkedHashMap<>();
    put(json, "Before", before);
    put(json, "After", best);
    outcome
        .branches()
        .forEach(
            (branch, of) -> {
              String alone = "%s: cosine %.4f (lowest %.4f)";
              print(alone, branch, of.cosine(), of.lowestCosine());
              json.put(branch.toString(), Map.of("cosine", of.cosine()));
            });
    json.put("bestStep", result.bestStep());
    json.put("steps", result.steps());
    json.put("finished", result.finished());
    json.put("reachedTarget", result.reachedTarget());
    json.put("tokens", result.tokens());
    json.put("seconds", result.seconds());
    Double difference = outcome.model().isPresent() ? outcome.maxOutputDifference() : null;
    json.put("maxOutputDifference", difference);
    json.put("model", outcome.model().orElse(null));
    done(json);
    return result.finished() ? 0 : Failures.FAILED;
  }

  private static void put(Map<String, Object> json, String when, DistillEvaluation e) {
    json.put("loss" + when, e.loss());
    json.put("cosine" + when, e.cosine());
    json.put("lowestCosine" + when, e.lowestCosine());
    if (e.accuracy() != null) {
      json.put("accuracy" + when, e.accuracy());
      json.put("relativeAccuracy" + when, e.relativeAccuracy());
      json.put("divergence" + when, e.divergence());
      json.put("teacherAccuracy", e.teacherAccuracy());
    }
  }
}
