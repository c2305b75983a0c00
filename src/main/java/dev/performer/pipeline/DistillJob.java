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

  /** As {@link Job.Outcome}, of a student. */
  public record Outcome(DistillResult result, Optional<Path> model, double maxOutputDifference) {}

  /**
   * Trains and exports.
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
    try (Distiller distiller = Distiller.open(models, data, recipe, run, resume, progress)) {
      RunSource.of(student.path(), ImportedModel.DEFAULT_SIGNATURE).write(run);
      var trainer = distiller.trainer();
      watch(trainer);
      DistillResult result = distiller.run();
      if (!result.finished()) {
        return new Outcome(result, Optional.empty(), Double.NaN);
      }
      trainer.restoreBest();
      ModelCard card = card(models, data, result);
      Path exported =
          export(
              student.path(),
              card,
              trainer.session(),
              distiller.student(),
              run.resolve(ModelTraining.MODEL));
      var held = data.validation().atMost(4);
      var batch = data.batches(held, 1024, 0).inOrder().get(0);
      var signature = ModelOptions.DEFAULT.withSignature(ImportedModel.DEFAULT_SIGNATURE);
      TokenInput input = Model.open(exported, signature).input(true);
      String output = models.config().task().hasTokenLogits() ? "logits" : "sequence_output";
      double difference = difference(exported, input, batch, output, distiller.outputs(batch));
      return new Outcome(result, Optional.of(exported), difference);
    }
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

  private ModelCard card(DistillModels models, DistillData data, DistillResult result) {
    ModelCard old = models.student().card();
    long step = result.bestStep();
    List<String> notes = new ArrayList<>();
    notes.add("learned from the teacher " + teacher.path() + " in " + step + " steps");
    if (recipe.weights().projections()) {
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
