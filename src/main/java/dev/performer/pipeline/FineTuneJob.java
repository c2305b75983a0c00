package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.HeldOut;
import dev.performer.data.NpyArray;
import dev.performer.data.SequenceSource;
import dev.performer.data.TokenBatch;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OptimizerFiles;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.FineTuner;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LanguageModel;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelCards;
import dev.performer.training.Trainer;
import dev.performer.training.TrainingData;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Continues the training of any language model on sequences, Python's SavedModels included: trains,
 * exports the best weights as the same model with other values, and compares the export with what
 * was trained.
 *
 * <pre>{@code
 * FineTuneJob job =
 *     FineTuneJob.builder(Model.open(Path.of("savedmodels/protein-mlm/saved_model")), run)
 *         .train(SequenceSource.file(Path.of("family.fasta.gz")))
 *         .build();
 * FineTuneJob.Outcome outcome = job.run(Progress.lines(System.out));
 * System.out.println(outcome.result().best().perplexity() + " " + outcome.model());
 * }</pre>
 *
 * <p>The run directory gets config.json, metrics.jsonl, checkpoints/ and, at the end, model/. A job
 * runs in one thread; {@link #stop} may be called from any.
 */
public final class FineTuneJob {
  private final LanguageModelSpec spec;
  private final Path run;
  private final TrainingData data;
  private final FineTuneOptions options;
  private final boolean resume;
  private final boolean debugNumerics;
  private final Optional<Path> optimizer;
  private volatile boolean stops;

  private FineTuneJob(Builder from) {
    spec = from.spec;
    run = from.run;
    SequenceSource all = Objects.requireNonNull(from.train, "sequences to train on are needed");
    data = data(all, from.validation);
    options = new FineTuneOptions(spec.objective(), from.batching.of(spec), from.loop);
    resume = from.resume;
    debugNumerics = from.debugNumerics;
    optimizer = from.continueOptimizer ? Optional.of(moments()) : Optional.empty();
  }

  /**
   * Begins with what is needed.
   *
   * @param model a language model
   * @param run the run directory: new or empty, or that of the run to go on with
   */
  public static Builder builder(Model model, Path run) {
    return builder(model.languageModel(), run);
  }

  /** The same of a model that is used in a way of its own. */
  public static Builder builder(LanguageModelSpec model, Path run) {
    return new Builder(model, run);
  }

  /** Collects what differs from the defaults; sequences to train on are needed. */
  public static final class Builder {
    private final LanguageModelSpec spec;
    private final Path run;
    private SequenceSource train;
    private SequenceSource validation;
    private SequenceBatching batching = SequenceBatching.DEFAULT;
    private LoopOptions loop = FineTuneOptions.LOOP;
    private boolean resume;
    private boolean debugNumerics;
    private boolean continueOptimizer;

    private Builder(LanguageModelSpec spec, Path run) {
      this.spec = spec;
      this.run = run;
    }

    /** What it learns from, read again and again. */
    public Builder train(SequenceSource value) {
      train = value;
      return this;
    }

    /** For evaluation only; where it is not given, every 20th sequence is held out. */
    public Builder validation(SequenceSource value) {
      validation = value;
      return this;
    }

    /** How sequences become batches. */
    public Builder batching(SequenceBatching value) {
      batching = value;
      return this;
    }

    /** The loop; its batch is that of the batching. */
    public Builder options(LoopOptions value) {
      loop = value;
      return this;
    }

    /** Whether to go on from the newest checkpoint of the run directory. */
    public Builder resume(boolean value) {
      resume = value;
      return this;
    }

    /** Whether to look for the op that brought forth a number that is not finite. */
    public Builder debugNumerics(boolean value) {
      debugNumerics = value;
      return this;
    }

    /** Whether to start from the moments of the optimizer that were imported with the model. */
    public Builder continueOptimizer(boolean value) {
      continueOptimizer = value;
      return this;
    }

    /**
     * @throws PerformerException if the model cannot be trained so, or a source cannot be split
     */
    public FineTuneJob build() {
      return new FineTuneJob(this);
    }
  }

  /**
   * What came of it.
   *
   * @param result of the training
   * @param run the run directory
   * @param model the export; empty if the run was stopped before its end
   * @param maxOutputDifference largest absolute difference of the reloaded export's logits from the
   *     trained graph's; NaN without an export
   */
  public record Outcome(
      TrainingResult result, Path run, Optional<Path> model, double maxOutputDifference) {}

  /**
   * Trains and exports.
   *
   * @throws PerformerException if directory, data or model will not do, or training diverges; the
   *     checkpoints are good
   */
  public Outcome run(Progress progress) {
    RunSource source = RunSource.of(path(), spec.tensors().signature());
    if (resume) {
      source.requireStarted(run);
    }
    try (ImportedModel model = spec.load()) {
      LanguageModel language = ImportedLanguageModel.of(model, spec.tensors());
      requireTrainable(model, progress);
      try (Trainer tuner =
          resume
              ? FineTuner.resume(language, data, options, run, progress)
              : FineTuner.start(language, data, options, run, progress)) {
        if (!resume) {
          optimizer.ifPresent(tuner::restoreOptimizer);
        }
        source.write(run);
        tuner.stopWhen(() -> stops);
        if (debugNumerics) {
          tuner.debugNumerics();
        }
        TrainingResult result = tuner.run();
        if (!result.finished()) {
          return new Outcome(result, run, Optional.empty(), Double.NaN);
        }
        tuner.restoreBest();
        Path target = run.resolve(RecipeTraining.MODEL);
        WeightReplacement.of(path())
            .card(card(result))
            .replaceExisting()
            .export(tuner.session(), model.variables(), target);
        return new Outcome(result, run, Optional.of(target), difference(language, tuner, target));
      }
    }
  }

  /** Ends {@link #run} after the step under way, with a checkpoint; from any thread. */
  public void stop() {
    stops = true;
  }

  private Path path() {
    return spec.model().path();
  }

  private TrainingData data(SequenceSource all, SequenceSource validation) {
    if (validation != null) {
      return new TrainingData(spec.tokenizer(), all, validation);
    }
    HeldOut<SequenceSource> split = HeldOut.of(all);
    try (var training = split.train().open()) {
      if (!training.hasNext()) {
        throw new PerformerException(
                all.name() + ": one sequence cannot be split; give other ones for validation")
            .settledBy("validation");
      }
    }
    return new TrainingData(spec.tokenizer(), split.train(), split.validation());
  }

  private Path moments() {
    return OptimizerFiles.prefix(path())
        .orElseThrow(
            () ->
                new PerformerException(
                        "%s: has no state of an optimizer (%s) to continue; import a checkpoint that holds one"
                            .formatted(path(), OptimizerFiles.FOLDER))
                    .settledBy("continueOptimizer"));
  }

  private void requireTrainable(ImportedModel model, Progress progress) {
    var trainability = model.trainability(spec.tensors().signature(), spec.tensors().logits());
    if (trainability.trainable().isEmpty()) {
      throw new PerformerException(path() + " " + trainability.summary());
    }
    if (!trainability.isTrainable()) {
      progress.message("Warning: " + path() + " " + trainability.summary());
    }
  }

  private ModelCard card(TrainingResult result) {
    Optional<ModelCard> old = spec.model().card();
    return ModelCard.of(
            old.map(ModelCard::attention).orElse(null),
            spec.cardVocabulary(),
            spec.tensors(),
            ModelCards.provenance(
                path().toString(),
                data.train().name(),
                options.loop().seed(),
                result.bestStep(),
                result.before(),
                result.best()))
        .withConfig(old.map(ModelCard::config).orElse(null))
        .withData(old.map(ModelCard::data).orElse(null));
  }

  /** Runs one validation batch through the trained graph and through the reloaded export. */
  private double difference(LanguageModel model, Trainer tuner, Path exported) {
    Batching batching = model.fit(options.batching()).forEvaluation();
    var batches = ExampleBatches.of(data.validation(), data.tokenizer(), batching, 0);
    TokenBatch batch;
    try (var stream = batches.epoch(0)) {
      batch = stream.next();
    }
    float[] trained = model.logits(tuner.session(), batch);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(exported)) {
      Map<String, NpyArray> feeds =
          spec.input().feeds(batch.tokens(), batch.mask(), batch.rows(), batch.length());
      NpyArray reloaded =
          predictor.predict(spec.tensors().signature(), feeds).get(spec.tensors().logits());
      return largestDifference(trained, reloaded.floats());
    }
  }

  /** Infinite where one is not a number. */
  static double largestDifference(float[] a, float[] b) {
    double largest = 0;
    for (int i = 0; i < a.length; i++) {
      double distance = Math.abs((double) a[i] - b[i]);
      largest = Math.max(largest, Double.isNaN(distance) ? Double.POSITIVE_INFINITY : distance);
    }
    return largest;
  }
}
