package dev.performer.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.data.NpyArray;
import dev.performer.data.Overrides;
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
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.run.Progress;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.tensorflow.TensorFlow;

/** {@code fine-tune --teacher}: reads, trains, exports, and compares the export with the graph. */
final class Distilling {
  private final Path student;
  private final Path teacher;
  private final RunOptions at;
  private final DistillRecipe recipe;
  private final LanguageModelOptions options;

  /**
   * @param recipe a file, or null for all defaults
   */
  Distilling(
      Path student,
      Path teacher,
      RunOptions at,
      Path recipe,
      List<String> settings,
      LanguageModelOptions options) {
    this.student = student;
    this.teacher = teacher;
    this.at = at;
    this.recipe = recipe(recipe, new Overrides(settings));
    this.options = options;
  }

  /**
   * What came of it.
   *
   * @param model the export; empty if the run was stopped before its end
   * @param maxOutputDifference largest absolute difference of the reloaded export's outputs from
   *     the trained graph's
   */
  record Outcome(DistillResult result, Optional<Path> model, double maxOutputDifference) {
    Map<String, Object> json() {
      Map<String, Object> json = new LinkedHashMap<>();
      put(json, "Before", result.before());
      put(json, "After", result.best());
      json.put("bestStep", result.bestStep());
      json.put("steps", result.steps());
      json.put("finished", result.finished());
      json.put("reachedTarget", result.reachedTarget());
      json.put("tokens", result.tokens());
      json.put("seconds", result.seconds());
      json.put("maxOutputDifference", model.isPresent() ? maxOutputDifference : null);
      json.put("model", model.map(Path::toString).orElse(null));
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

  Outcome run(Path data, Path validation, Progress progress) {
    DistillModels models = DistillModels.load(student, teacher);
    models.notes().forEach(note -> progress.message("Note: " + note));
    DistillData read = data(models, data, validation);
    read.train().notes().forEach(progress::message);
    read.validation().notes().forEach(progress::message);
    try (Distiller distiller = Distiller.open(models, read, recipe, at.run, at.resume, progress)) {
      FineTuning.writeSource(at.run, student, ImportedModel.DEFAULT_SIGNATURE);
      if (at.debugNumerics) {
        distiller.debugNumerics();
      }
      DistillResult result = distiller.run();
      if (!result.finished()) {
        return new Outcome(result, Optional.empty(), Double.NaN);
      }
      distiller.restoreBest();
      Path target = at.run.resolve(FineTuning.MODEL);
      WeightReplacement.of(student)
          .card(card(models, read, result))
          .replaceExisting()
          .export(distiller.session(), distiller.student(), target);
      return new Outcome(result, Optional.of(target), difference(models, distiller, read, target));
    }
  }

  private static DistillRecipe recipe(Path file, Overrides overrides) {
    JsonNode tree =
        file == null ? overrides.over(JsonNodeFactory.instance.objectNode()) : overrides.read(file);
    String source = overrides.source(file == null ? "the default recipe" : file.toString());
    return DistillRecipe.of(tree, source);
  }

  private DistillData data(DistillModels models, Path file, Path validation) {
    Optional<DistillData.Guesses> guesses = guesses(models);
    int length = recipe.data().length();
    List<String> notes = new ArrayList<>();
    var longest = models.config().longestSequence();
    if (longest.isPresent() && length > longest.getAsInt()) {
      notes.add(
          "%s takes sequences of at most %d tokens, so data.length is that, not %d"
              .formatted(student, longest.getAsInt(), length));
      length = longest.getAsInt();
    }
    var reader = new ModelSequences(student, models.student(), tokenizer(models));
    TokenRows all = reader.read(file, length);
    TokenRows train = all;
    TokenRows held;
    if (validation == null) {
      List<TokenRows> split = all.split(recipe.data().holdOutEvery());
      held = split.get(0);
      train = split.get(1);
    } else {
      held = reader.read(validation, length);
    }
    notes.addAll(train.notes());
    return new DistillData(
        new TokenRows(train.name(), train.rows(), notes),
        held,
        reader.pad(),
        reader.paddedLength(),
        guesses);
  }

  private Optional<Tokenizer> tokenizer(DistillModels models) {
    if (options.vocabulary != null) {
      return Optional.of(LanguageModelOptions.tokenizerNamed(options.vocabulary));
    }
    return models.config().task().hasTokenLogits()
        ? Optional.of(options.resolve(student).tokenizer())
        : Optional.empty();
  }

  private Optional<DistillData.Guesses> guesses(DistillModels models) {
    if (!models.config().task().hasTokenLogits()) {
      return Optional.empty();
    }
    LanguageModelOptions.Resolved resolved = options.resolve(student);
    return Optional.of(
        new DistillData.Guesses(
            options.objective(resolved.tensors(), resolved.vocabulary()), resolved.vocabulary()));
  }

  private ModelCard card(DistillModels models, DistillData data, DistillResult result) {
    ModelCard old = models.student().card();
    ModelCard.Provenance p = old.provenance();
    List<String> notes =
        new ArrayList<>(p == null || p.assumptions() == null ? List.of() : p.assumptions());
    notes.add("learned from the teacher " + teacher + " in " + result.bestStep() + " steps");
    if (recipe.training().projections()) {
      notes.add("projections were trained: they are no random draw any more");
    }
    return ModelCard.of(
            old.attention(),
            old.vocabulary(),
            old.languageModel(),
            new ModelCard.Provenance(
                p == null || p.importedFrom() == null ? student.toString() : p.importedFrom(),
                p == null ? null : p.scheme(),
                notes,
                p == null ? null : p.importedStep(),
                data.train().name(),
                recipe.training().seed(),
                result.bestStep(),
                Map.of("tensorflow", TensorFlow.version()),
                metrics(result.before()),
                metrics(result.best()),
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString()))
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
    try (SavedModelPredictor predictor = SavedModelPredictor.load(exported)) {
      SignatureSpec signature = predictor.directory().signature(ImportedModel.DEFAULT_SIGNATURE);
      String tokens = ImportedLanguageModel.tokens(signature);
      Map<String, NpyArray> feeds =
          SequenceFeeds.of(
              signature,
              tokens,
              ImportedLanguageModel.mask(signature, tokens),
              batch.tokens(),
              batch.mask(),
              batch.rows(),
              batch.length());
      Map<String, NpyArray> outputs = predictor.predict(signature.name(), feeds);
      boolean hasLogits = models.config().task().hasTokenLogits();
      NpyArray reloaded = outputs.get(hasLogits ? "logits" : "sequence_output");
      return reloaded == null ? Double.NaN : largest(trained, reloaded.floats());
    }
  }

  private static double largest(float[] a, float[] b) {
    double largest = 0;
    for (int i = 0; i < a.length; i++) {
      double distance = Math.abs((double) a[i] - b[i]);
      largest = Math.max(largest, Double.isNaN(distance) ? Double.POSITIVE_INFINITY : distance);
    }
    return largest;
  }
}
