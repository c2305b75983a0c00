package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.TokenRows;
import dev.performer.distill.DistillData;
import dev.performer.distill.DistillEvaluation;
import dev.performer.distill.DistillModels;
import dev.performer.distill.DistillRecipe;
import dev.performer.distill.DistillResult;
import dev.performer.distill.Distiller;
import dev.performer.distill.ModelSequences;
import dev.performer.pipeline.ModelLocation.RunSource;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Makes a model that attends by FAVOR+ compute what the same model computes with exact attention:
 * reads, trains, exports the best weights, and compares the export with what was trained.
 *
 * <pre>{@code
 * DistillJob job =
 *     DistillJob.of(Model.open(Path.of("favor")), Model.open(Path.of("exact")), run);
 * DistillJob.Outcome outcome =
 *     job.run(Path.of("family.fasta.gz"), Optional.empty(), Progress.lines(System.out));
 * }</pre>
 */
public final class DistillJob extends Job<DistillJob> {
  private final Model student;
  private final Model teacher;
  private DistillRecipe recipe = DistillRecipe.DEFAULT;

  private DistillJob(Model student, Model teacher, Path run) {
    super(run);
    this.student = student;
    this.teacher = teacher;
  }

  /**
   * By the default recipe, a model of ours that attends by FAVOR+ learns from the same model with
   * exact attention; the run directory is new or empty, or that of the run to go on with.
   */
  public static DistillJob of(Model student, Model teacher, Path run) {
    return new DistillJob(student, teacher, run);
  }

  /** Trains by another recipe. */
  public DistillJob with(DistillRecipe other) {
    recipe = other;
    return this;
  }

  /**
   * As {@link Job.Outcome}, of a student.
   *
   * @param branches how near to the teacher it is with one branch of its attention alone; empty
   *     where it has not both
   */
  public record Outcome(
      DistillResult result,
      Optional<Path> model,
      double maxOutputDifference,
      Map<AttentionBranch, DistillEvaluation> branches) {
    /** Of a student with one branch. */
    public Outcome(DistillResult result, Optional<Path> model, double maxOutputDifference) {
      this(result, model, maxOutputDifference, Map.of());
    }
  }

  /**
   * Trains, stage by stage where the recipe has such, and exports.
   *
   * @param file sequences to learn from: FASTA, lines, a table, or token ids in an .npz
   * @param validation sequences for evaluation; empty to hold out some of the others
   * @throws PerformerException if models, data or directory will not do, or training diverges
   */
  public Outcome run(Path file, Optional<Path> validation, Progress progress) {
    DistillModels models = DistillModels.load(student.path(), teacher.path());
    models.notes().forEach(note -> progress.message("Note: " + note));
    DistillData data = data(models, file, validation, progress);
    data.train().notes().forEach(progress::message);
    data.validation().notes().forEach(progress::message);
    List<DistillRecipe> trainings = recipe.trainings();
    try (var root = Distiller.directory(models, data, recipe, run, resume, progress)) {
      Stage stage = new Stage(models, data, Optional.empty(), progress);
      for (int i = 0; i + 1 < trainings.size(); i++) {
        root.writeSettings();
        progress.message("stage " + (i + 1) + " of " + trainings.size() + name(i));
        Path exported = root.stage(i + 1).resolve(ModelTraining.MODEL);
        Outcome outcome = stage.run(trainings.get(i), root.stage(i + 1));
        if (!outcome.result.finished()) {
          return outcome;
        }
        stage = stage.then(exported, outcome.result);
      }
      int last = trainings.size() - 1;
      if (last > 0) {
        progress.message("stage " + trainings.size() + " of " + trainings.size() + name(last));
      }
      return withBranches(stage.last(trainings.get(last), root), data);
    }
  }

  private String name(int stage) {
    String name = recipe.stages().get(stage).name();
    return name == null ? "" : ": " + name;
  }

  /** One training that goes on from others, of which this is the result so far. */
  private final class Stage {
    private final DistillModels models;
    private final DistillData data;
    private final Optional<DistillResult> before;
    private final Progress progress;

    Stage(
        DistillModels models, DistillData data, Optional<DistillResult> before, Progress progress) {
      this.models = models;
      this.data = data;
      this.before = before;
      this.progress = progress;
    }

    Stage then(Path exported, DistillResult result) {
      return new Stage(models.goingOn(exported), data, Optional.of(result), progress);
    }

    /** In a directory of its own; nothing where it has come to its end already. */
    Outcome run(DistillRecipe training, Path place) {
      boolean isBegun = resume && Files.exists(place);
      if (isBegun && Files.exists(place.resolve(ModelTraining.MODEL))) {
        return new Outcome(joined(Distiller.finished(place)), Optional.empty(), Double.NaN);
      }
      try (Distiller distiller = Distiller.open(models, data, training, place, isBegun, progress)) {
        return run(distiller, place);
      }
    }

    /** In the directory of the whole run. */
    Outcome last(DistillRecipe training, RunDirectory root) {
      try (Distiller distiller = Distiller.open(models, data, training, root, progress)) {
        RunSource.of(student.path(), ImportedModel.DEFAULT_SIGNATURE).write(run);
        return run(distiller, run);
      }
    }

    private Outcome run(Distiller distiller, Path place) {
      var trainer = distiller.trainer();
      watch(trainer);
      DistillResult result = joined(distiller.run());
      if (!result.finished()) {
        return new Outcome(result, Optional.empty(), Double.NaN);
      }
      distiller.restoreBest();
      Path exported =
          export(
              student.path(),
              card(data, result),
              trainer.session(),
              distiller.student(),
              place.resolve(ModelTraining.MODEL));
      var held = data.validation().atMost(4);
      var batch = data.batches(held, 1024, 0).inOrder().get(0);
      var signature = ModelOptions.DEFAULT.withSignature(ImportedModel.DEFAULT_SIGNATURE);
      TokenInput input = Model.open(exported, signature).input(true);
      String output = models.config().task().hasTokenLogits() ? "logits" : "sequence_output";
      double difference = difference(exported, input, batch, output, distiller.outputs(batch));
      return new Outcome(result, Optional.of(exported), difference);
    }

    private DistillResult joined(DistillResult own) {
      return before.map(b -> b.then(own)).orElse(own);
    }
  }

  /** A model can come to ignore one of both parts of its attention: what each is worth alone. */
  private Outcome withBranches(Outcome outcome, DistillData data) {
    boolean hasBoth =
        outcome.model.isPresent() && AttentionBranch.hasBoth(student.config().orElseThrow());
    if (!hasBoth) {
      return outcome;
    }
    var branches =
        AttentionBranch.each(
            outcome.model.get(),
            student.options(),
            alone -> {
              DistillModels models = DistillModels.load(alone.path(), teacher.path());
              return Distiller.evaluate(models, data, recipe);
            });
    return new Outcome(outcome.result, outcome.model, outcome.maxOutputDifference, branches);
  }

  private DistillData data(
      DistillModels models, Path file, Optional<Path> validation, Progress progress) {
    Optional<DistillData.Guesses> guesses = Optional.empty();
    var tokenizer = Optional.ofNullable(student.options().tokenizer());
    if (models.config().task().hasTokenLogits()) {
      LanguageModelSpec spec = student.languageModel();
      spec.notes().forEach(progress::message);
      tokenizer = Optional.of(spec.tokenizer());
      guesses = Optional.of(new DistillData.Guesses(spec.objective(), spec.vocabulary()));
    }
    int wanted = recipe.data().length();
    int length = Math.min(wanted, models.config().longestSequence().orElse(wanted));
    List<String> notes = new ArrayList<>();
    if (length < wanted) {
      String text = "%s takes sequences of at most %d tokens, so data.length is that, not %d";
      notes.add(text.formatted(student.path(), length, wanted));
    }
    var reader = new ModelSequences(student.path(), models.student(), tokenizer);
    TokenRows all = reader.read(file, length);
    List<TokenRows> split = // held out, and the rest
        validation.isPresent()
            ? List.of(reader.read(validation.get(), length), all)
            : all.split(recipe.data().holdOutEvery());
    notes.addAll(split.get(1).notes());
    var train = new TokenRows(split.get(1).name(), split.get(1).rows(), notes);
    return new DistillData(train, split.get(0), reader.pad(), reader.paddedLength(), guesses);
  }

  private ModelCard card(DistillData data, DistillResult result) {
    ModelCard old = student.card().orElseThrow();
    long step = result.bestStep();
    List<String> notes = new ArrayList<>();
    notes.add("learned from the teacher " + teacher.path() + " in " + step + " steps");
    if (recipe.trainings().stream().anyMatch(t -> t.weights().projections())) {
      notes.add("projections were trained: they are no random draw any more");
    }
    String on = data.train().name();
    long seed = recipe.training().seed();
    var provenance =
        Converter.origin(old)
            .madeFrom(student.path(), notes)
            .trained(on, seed, step, metrics(result.before()), metrics(result.best()));
    return ModelCard.of(old.attention(), old.vocabulary(), old.languageModel(), provenance)
        .withConfig(old.config())
        .withEmbedding(old.embedding())
        .withChatTemplate(old.chatTemplate())
        .withData(old.data());
  }

  private static Map<String, Double> metrics(DistillEvaluation evaluation) {
    Map<String, Double> metrics = new TreeMap<>();
    metrics.put("cosine", evaluation.cosine());
    metrics.put("distillationLoss", evaluation.loss());
    if (evaluation.accuracy() != null) {
      metrics.put("accuracy", evaluation.accuracy());
      metrics.put("relativeAccuracy", evaluation.relativeAccuracy());
    }
    return metrics;
  }
}
