package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRowBatches;
import dev.performer.data.TokenRows;
import dev.performer.data.Tokenizer;
import dev.performer.distill.DistillData;
import dev.performer.distill.DistillEvaluation;
import dev.performer.distill.DistillModels;
import dev.performer.distill.DistillRecipe;
import dev.performer.distill.DistillResult;
import dev.performer.distill.Distiller;
import dev.performer.distill.ModelSequences;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.run.Progress;
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
 *
 * <p>A job runs in one thread; {@link #stop} may be called from any.
 */
public final class DistillJob {
  private final Model student;
  private final Model teacher;
  private final Path run;
  private DistillRecipe recipe = DistillRecipe.DEFAULT;
  private boolean resume;
  private boolean debugNumerics;
  private volatile boolean stops;

  private DistillJob(Model student, Model teacher, Path run) {
    this.student = student;
    this.teacher = teacher;
    this.run = run;
  }

  /**
   * By the default recipe.
   *
   * @param student a model of ours that attends by FAVOR+
   * @param teacher the same model with exact attention
   * @param run the run directory: new or empty, or that of the run to go on with
   */
  public static DistillJob of(Model student, Model teacher, Path run) {
    return new DistillJob(student, teacher, run);
  }

  /** Trains by another recipe. */
  public DistillJob with(DistillRecipe other) {
    recipe = other;
    return this;
  }

  /** Whether to go on from the newest checkpoint of the run directory. */
  public DistillJob resuming(boolean value) {
    resume = value;
    return this;
  }

  /** Whether to look for the op that brought forth a number that is not finite. */
  public DistillJob debuggingNumerics(boolean value) {
    debugNumerics = value;
    return this;
  }

  /**
   * What came of it.
   *
   * @param model the export; empty if the run was stopped before its end
   * @param maxOutputDifference largest absolute difference of the reloaded export's outputs from
   *     the trained graph's
   */
  public record Outcome(DistillResult result, Optional<Path> model, double maxOutputDifference) {}

  /**
   * Trains and exports.
   *
   * @param file sequences to learn from: FASTA, lines, a table, or token ids in an .npz
   * @param validation sequences for evaluation; where there are none, some of the others are held
   *     out
   * @throws PerformerException if models, data or directory will not do, or training diverges
   */
  public Outcome run(Path file, Optional<Path> validation, Progress progress) {
    DistillModels models = DistillModels.load(student.path(), teacher.path());
    models.notes().forEach(note -> progress.message("Note: " + note));
    DistillData data = data(models, file, validation, progress);
    data.train().notes().forEach(progress::message);
    data.validation().notes().forEach(progress::message);
    try (Distiller distiller = Distiller.open(models, data, recipe, run, resume, progress)) {
      RunSource.of(student.path(), ImportedModel.DEFAULT_SIGNATURE).write(run);
      distiller.trainer().stopWhen(() -> stops);
      if (debugNumerics) {
        distiller.trainer().debugNumerics();
      }
      DistillResult result = distiller.run();
      if (!result.finished()) {
        return new Outcome(result, Optional.empty(), Double.NaN);
      }
      distiller.trainer().restoreBest();
      Path target = run.resolve(RecipeTraining.MODEL);
      WeightReplacement.of(student.path())
          .card(card(models, data, result))
          .replaceExisting()
          .export(distiller.trainer().session(), distiller.student(), target);
      return new Outcome(result, Optional.of(target), difference(models, distiller, data, target));
    }
  }

  /** Ends {@link #run} after the step under way, with a checkpoint; from any thread. */
  public void stop() {
    stops = true;
  }

  private DistillData data(
      DistillModels models, Path file, Optional<Path> validation, Progress progress) {
    Optional<DistillData.Guesses> guesses = Optional.empty();
    Optional<Tokenizer> tokenizer = Optional.ofNullable(student.options().tokenizer());
    if (models.config().task().hasTokenLogits()) {
      LanguageModelSpec spec = student.languageModel();
      spec.notes().forEach(progress::message);
      tokenizer = Optional.of(spec.tokenizer());
      guesses = Optional.of(new DistillData.Guesses(spec.objective(), spec.vocabulary()));
    }
    int length = recipe.data().length();
    List<String> notes = new ArrayList<>();
    var longest = models.config().longestSequence();
    if (longest.isPresent() && length > longest.getAsInt()) {
      notes.add(
          "%s takes sequences of at most %d tokens, so data.length is that, not %d"
              .formatted(student.path(), longest.getAsInt(), length));
      length = longest.getAsInt();
    }
    var reader = new ModelSequences(student.path(), models.student(), tokenizer);
    TokenRows train = reader.read(file, length);
    TokenRows held;
    if (validation.isEmpty()) {
      List<TokenRows> split = train.split(recipe.data().holdOutEvery());
      held = split.get(0);
      train = split.get(1);
    } else {
      held = reader.read(validation.get(), length);
    }
    notes.addAll(train.notes());
    return new DistillData(
        new TokenRows(train.name(), train.rows(), notes),
        held,
        reader.pad(),
        reader.paddedLength(),
        guesses);
  }

  private ModelCard card(DistillModels models, DistillData data, DistillResult result) {
    ModelCard old = models.student().card();
    ModelCard.Provenance origin =
        old.provenance() == null ? ModelCard.Provenance.UNKNOWN : old.provenance();
    List<String> notes = new ArrayList<>();
    notes.add("learned from the teacher " + teacher.path() + " in " + result.bestStep() + " steps");
    if (recipe.weights().projections()) {
      notes.add("projections were trained: they are no random draw any more");
    }
    return ModelCard.of(
            old.attention(),
            old.vocabulary(),
            old.languageModel(),
            origin
                .madeFrom(student.path(), notes)
                .trained(
                    data.train().name(),
                    recipe.training().seed(),
                    result.bestStep(),
                    metrics(result.before()),
                    metrics(result.best())))
        .withConfig(old.config())
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

  /** Runs one batch through the trained graph and through the reloaded export. */
  private double difference(
      DistillModels models, Distiller distiller, DistillData data, Path exported) {
    TokenBatch batch =
        new TokenRowBatches(data.validation().atMost(4), data.pad(), 1024, data.paddedLength(), 0)
            .inOrder()
            .get(0);
    float[] trained = distiller.outputs(batch);
    TokenInput input =
        Model.open(exported)
            .with(ModelOptions.builder().signature(ImportedModel.DEFAULT_SIGNATURE).build())
            .input(true);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(exported)) {
      Map<String, NpyArray> outputs =
          predictor.predict(
              ImportedModel.DEFAULT_SIGNATURE,
              input.feeds(batch.tokens(), batch.mask(), batch.rows(), batch.length()));
      boolean hasLogits = models.config().task().hasTokenLogits();
      NpyArray reloaded = outputs.get(hasLogits ? "logits" : "sequence_output");
      return reloaded == null
          ? Double.NaN
          : FineTuneJob.largestDifference(trained, reloaded.floats());
    }
  }
}
