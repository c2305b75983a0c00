package dev.performer.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.SequenceBatches;
import dev.performer.data.TokenBatch;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.FineTuner;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LanguageModel;
import dev.performer.training.ModelCards;
import dev.performer.training.TrainingConfig;
import dev.performer.training.TrainingData;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Import, train, export the best weights, and compare the export with what was trained. */
final class FineTuning {
  /** The exported model inside a run directory. */
  static final String MODEL = "model";

  /** Which model a run directory belongs to. */
  static final String SOURCE = "source.json";

  private static final ObjectMapper JSON = new ObjectMapper();

  private final LanguageModelOptions.Resolved resolved;
  private final TrainingData data;
  private final TrainingConfig config;
  private final Path run;
  private final boolean resume;
  private final boolean debugNumerics;
  private final Optional<Path> optimizer;

  FineTuning(
      LanguageModelOptions.Resolved resolved,
      TrainingData data,
      TrainingConfig config,
      RunOptions at,
      Optional<Path> optimizer) {
    this.resolved = resolved;
    this.data = data;
    this.config = config;
    run = at.run;
    resume = at.resume;
    debugNumerics = at.debugNumerics;
    this.optimizer = optimizer;
  }

  /**
   * What came of it.
   *
   * @param summary of the training
   * @param maxOutputDifference largest absolute difference of the reloaded export's logits from the
   *     trained graph's; NaN without an export
   */
  record Outcome(TrainingSummary summary, double maxOutputDifference) {
    TrainingResult result() {
      return summary.result();
    }

    Optional<Path> model() {
      return summary.model();
    }

    Map<String, Object> json() {
      Map<String, Object> json = summary.json();
      json.put("maxOutputDifference", model().isPresent() ? maxOutputDifference : null);
      return json;
    }
  }

  Outcome run(Progress progress) {
    if (resume) {
      requireSameModel();
    }
    try (ImportedModel model = resolved.load()) {
      LanguageModel languageModel = ImportedLanguageModel.of(model, resolved.tensors());
      requireTrainable(model);
      try (FineTuner tuner =
          resume
              ? FineTuner.resume(languageModel, data, config, run, progress)
              : FineTuner.start(languageModel, data, config, run, optimizer, progress)) {
        writeSource(run, resolved.directory().path(), resolved.tensors().signature());
        if (debugNumerics) {
          tuner.debugNumerics();
        }
        TrainingResult result = tuner.run();
        if (!result.finished()) {
          return new Outcome(new TrainingSummary(result, run, Optional.empty()), Double.NaN);
        }
        tuner.restoreBest();
        Path target = run.resolve(MODEL);
        WeightReplacement.of(resolved.directory().path())
            .card(card(result))
            .replaceExisting()
            .export(tuner.session(), model.variables(), target);
        return new Outcome(
            new TrainingSummary(result, run, Optional.of(target)),
            difference(languageModel, tuner, target));
      }
    }
  }

  private void requireTrainable(ImportedModel model) {
    var trainability =
        model.trainability(resolved.tensors().signature(), resolved.tensors().logits());
    if (trainability.trainable().isEmpty()) {
      throw new PerformerException(resolved.directory().path() + " " + trainability.summary());
    }
    if (!trainability.isTrainable()) {
      System.err.println("Warning: " + resolved.directory().path() + " " + trainability.summary());
    }
  }

  /** A checkpoint belongs to one graph; another may have variables of the same names. */
  private void requireSameModel() {
    if (!Files.exists(run.resolve(SOURCE))) {
      return; // the tuner says what is missing
    }
    Source started = source(run);
    if (started.graph() != null
        && !started.graph().equals(graphDigest(resolved.directory().path()))) {
      throw new PerformerException(
          run
              + " trains another model, "
              + started.model()
              + "; resume with that one, or choose another --output for "
              + resolved.directory().path());
    }
  }

  private static String graphDigest(Path model) {
    Path file = model.resolve("saved_model.pb");
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      return HexFormat.of().formatHex(sha.digest(Files.readAllBytes(file)));
    } catch (IOException | NoSuchAlgorithmException e) {
      throw new PerformerException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** Says in a run directory which model it trains. */
  static void writeSource(Path run, Path model, String signature) {
    Map<String, Object> source = new LinkedHashMap<>();
    source.put("model", model.toAbsolutePath().normalize().toString());
    source.put("signature", signature);
    source.put("graph", graphDigest(model));
    try {
      String text = JSON.writerWithDefaultPrettyPrinter().writeValueAsString(source) + "\n";
      AtomicFiles.write(run.resolve(SOURCE), text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new PerformerException(
          run.resolve(SOURCE) + ": cannot be written: " + AtomicFiles.describe(e), e);
    }
  }

  /**
   * What a run directory trains.
   *
   * @param model the SavedModel it started from
   * @param signature the signature that is trained
   * @param graph SHA-256 of its saved_model.pb; null where an older version wrote this
   */
  record Source(Path model, String signature, String graph) {}

  /** The model that a run directory trains. @throws PerformerException if it is no run directory */
  static Source source(Path run) {
    Path file = run.resolve(SOURCE);
    try {
      JsonNode json = JSON.readTree(file.toFile());
      if (json.path("model").isTextual() && json.path("signature").isTextual()) {
        return new Source(
            Path.of(json.path("model").asText()),
            json.path("signature").asText(),
            json.path("graph").asText(null));
      }
    } catch (IOException e) {
      throw new PerformerException(
          file + ": cannot be read: " + Failures.oneLine(e.getMessage()), e);
    }
    throw new PerformerException(
        file + ": keys 'model' and 'signature' are expected: which model the run trains");
  }

  private ModelCard card(TrainingResult result) {
    return ModelCard.of(
            resolved.card().map(ModelCard::attention).orElse(null),
            resolved.cardVocabulary(),
            resolved.tensors(),
            ModelCards.provenance(resolved.directory().path().toString(), data, config, result))
        .withConfig(resolved.card().map(ModelCard::config).orElse(null))
        .withData(resolved.card().map(ModelCard::data).orElse(null));
  }

  /** Runs one validation batch through the trained graph and through the reloaded export. */
  private double difference(LanguageModel model, FineTuner tuner, Path exported) {
    var batching = model.fit(config.batching()).forEvaluation();
    var batches = new SequenceBatches(data.validation(), data.tokenizer(), batching, 0);
    TokenBatch batch;
    try (var stream = batches.epoch(0)) {
      batch = stream.next();
    }
    float[] trained = model.logits(tuner.session(), batch);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(exported)) {
      ModelCard.LanguageModel tensors = resolved.tensors();
      Map<String, NpyArray> feeds =
          SequenceFeeds.of(
              predictor.directory().signature(tensors.signature()),
              tensors.tokens(),
              tensors.mask(),
              batch.tokens(),
              batch.mask(),
              batch.rows(),
              batch.length());
      float[] reloaded =
          predictor.predict(tensors.signature(), feeds).get(tensors.logits()).floats();
      double largest = 0;
      for (int i = 0; i < trained.length; i++) {
        double distance = Math.abs((double) trained[i] - reloaded[i]);
        largest = Math.max(largest, Double.isNaN(distance) ? Double.POSITIVE_INFINITY : distance);
      }
      return largest;
    }
  }
}
