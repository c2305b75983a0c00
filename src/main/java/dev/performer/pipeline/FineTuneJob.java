package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.HeldOut;
import dev.performer.data.SequenceSource;
import dev.performer.data.TokenBatch;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OptimizerFiles;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LanguageModel;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelCards;
import dev.performer.training.Trainer;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Continues the training of any language model on sequences, Python's SavedModels included: trains,
 * exports the best weights as the same model with other values, and compares the export with what
 * was trained.
 *
 * <pre>{@code
 * Model model = Model.open(Path.of("savedmodels/protein-mlm/saved_model"));
 * SequenceSource family = SequenceSource.file(Path.of("family.fasta.gz"));
 * FineTuneJob.Outcome outcome =
 *     FineTuneJob.of(model, family, run).run(Progress.lines(System.out));
 * System.out.println(outcome.result().best().perplexity() + " " + outcome.model());
 * }</pre>
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
   * With the defaults for everything else.
   *
   * @param train what it learns from, read again and again
   * @param run the run directory: new or empty, or that of the run to go on with
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
      LanguageModel language = ImportedLanguageModel.of(model, spec.tensors());
      requireTrainable(model, progress);
      try (Trainer tuner = options.open(language, data, run, resume, progress)) {
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
        ModelCard card = card(data, result);
        Path exported = export(path(), card, tuner.session(), model.variables());
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
    HeldOut<SequenceSource> split = HeldOut.of(train);
    try (var training = split.train().open()) {
      if (!training.hasNext()) {
        throw new PerformerException(
                train.name() + ": one sequence cannot be split; give other ones for validation")
            .settledBy("validation");
      }
    }
    return new FineTuneOptions.Data(spec.tokenizer(), split.train(), split.validation());
  }

  private Path moments() {
    String missing =
        "%s: has no state of an optimizer (%s) to continue; import a checkpoint that holds one"
            .formatted(path(), OptimizerFiles.FOLDER);
    return OptimizerFiles.prefix(path())
        .orElseThrow(() -> new PerformerException(missing).settledBy("continueOptimizer"));
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

  private ModelCard card(FineTuneOptions.Data data, TrainingResult result) {
    Optional<ModelCard> old = spec.model().card();
    ModelCard.Provenance provenance =
        ModelCards.provenance(
            path().toString(),
            data.train().name(),
            loop.seed(),
            result.bestStep(),
            result.before(),
            result.best());
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
