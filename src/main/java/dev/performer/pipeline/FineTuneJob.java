package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.HeldOut;
import dev.performer.data.SequenceSource;
import dev.performer.data.TokenBatch;
import dev.performer.pipeline.ModelLocation.RunSource;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelCards;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Continues the training of any language model on sequences, Python's SavedModels included: trains,
 * exports the best weights as the same model with other values, and compares the export with what
 * was trained.
 *
 * <p>The run directory gets config.json, metrics.jsonl, checkpoints/ and, at the end, model/.
 */
public final class FineTuneJob extends Job<FineTuneJob> {
  private final LanguageModelSpec spec;
  private final SequenceSource train;
  private SequenceSource validation;
  private SequenceBatching batching = SequenceBatching.DEFAULT;
  private LoopOptions loop = FineTuneOptions.LOOP;
  private boolean continueOptimizer;

  private FineTuneJob(LanguageModelSpec spec, SequenceSource train, Path run) {
    super(run);
    this.spec = spec;
    this.train = train;
  }

  /**
   * Learns from sequences, which are read again and again; the run directory is new or empty, or
   * that of the run to go on with.
   */
  public static FineTuneJob of(Model model, SequenceSource train, Path run) {
    return of(model.languageModel(), train, run);
  }

  /** The same of a model that is used in a way of its own. */
  public static FineTuneJob of(LanguageModelSpec model, SequenceSource train, Path run) {
    return new FineTuneJob(model, train, run);
  }

  /** For evaluation only; where it is null, every 20th sequence is held out. */
  public FineTuneJob validation(SequenceSource value) {
    validation = value;
    return this;
  }

  /** How sequences become batches. */
  public FineTuneJob batching(SequenceBatching value) {
    batching = value;
    return this;
  }

  /** The loop; its batch is that of the batching. */
  public FineTuneJob options(LoopOptions value) {
    loop = value;
    return this;
  }

  /** Whether to start from the moments of the optimizer that were imported with the model. */
  public FineTuneJob continuingOptimizer(boolean value) {
    continueOptimizer = value;
    return this;
  }

  /**
   * Trains and exports.
   *
   * @throws PerformerException if directory, data or model will not do, or training diverges; the
   *     checkpoints are good
   */
  public Outcome run(Progress progress) {
    FineTuneOptions.Data data = data();
    var options = new FineTuneOptions(spec.objective(), batching.of(spec), loop);
    Optional<Path> moments = continueOptimizer ? Optional.of(moments()) : Optional.empty();
    RunSource source = RunSource.of(path(), spec.tensors().signature());
    if (resume) {
      source.requireStarted(run);
    }
    try (ImportedModel model = spec.load()) {
      var language = ImportedLanguageModel.of(model, spec.tensors());
      requireTrainable(model, progress);
      try (var tuner =
          resume
              ? options.resume(language, data, run, progress)
              : options.start(language, data, run, progress)) {
        if (!resume) {
          moments.ifPresent(tuner::restoreOptimizer);
        }
        source.write(run);
        watch(tuner);
        TrainingResult result = tuner.run();
        if (!result.finished()) {
          return new Outcome(result, run, Optional.empty(), Double.NaN);
        }
        tuner.restoreBest();
        Path exported = export(path(), card(data, result), tuner.session(), model.variables());
        TokenBatch batch = batch(data, language.fit(options.batching()).forEvaluation());
        float[] trained = language.logits(tuner.session(), batch);
        String logits = spec.tensors().logits();
        double difference = difference(exported, spec.input(), batch, logits, trained);
        return new Outcome(result, run, Optional.of(exported), difference);
      }
    }
  }

  private Path path() {
    return spec.model().path();
  }

  private FineTuneOptions.Data data() {
    if (validation != null) {
      return new FineTuneOptions.Data(spec.tokenizer(), train, validation);
    }
    var split = HeldOut.of(train);
    try (var training = split.train().open()) {
      if (!training.hasNext()) {
        String text = "%s: one sequence cannot be split; give other ones for validation";
        throw new PerformerException(text.formatted(train.name())).settledBy("validation");
      }
    }
    return new FineTuneOptions.Data(spec.tokenizer(), split.train(), split.validation());
  }

  private Path moments() {
    String missing =
        "%s: has no state of an optimizer (%s) to continue; import a checkpoint that holds one"
            .formatted(path(), PerformerModels.OPTIMIZER);
    return PerformerModels.optimizer(path())
        .orElseThrow(() -> new PerformerException(missing).settledBy("continueOptimizer"));
  }

  private void requireTrainable(ImportedModel model, Progress progress) {
    var trainability = model.trainability(spec.tensors().signature(), spec.tensors().logits());
    String found = path() + " " + trainability.summary();
    require(!trainability.trainable().isEmpty(), "%s", found);
    if (!trainability.isTrainable()) {
      progress.message("Warning: " + found);
    }
  }

  private ModelCard card(FineTuneOptions.Data data, TrainingResult result) {
    Optional<ModelCard> old = spec.model().card();
    String from = path().toString();
    String on = data.train().name();
    var provenance =
        ModelCards.provenance(
            from, on, loop.seed(), result.bestStep(), result.before(), result.best());
    var attention = old.map(ModelCard::attention).orElse(null);
    return ModelCard.of(attention, spec.cardVocabulary(), spec.tensors(), provenance)
        .withConfig(old.map(ModelCard::config).orElse(null))
        .withData(old.map(ModelCard::data).orElse(null));
  }

  private static TokenBatch batch(FineTuneOptions.Data data, Batching batching) {
    var batches = ExampleBatches.of(data.validation(), data.tokenizer(), batching, 0);
    try (var stream = batches.epoch(0)) {
      return stream.next();
    }
  }
}
