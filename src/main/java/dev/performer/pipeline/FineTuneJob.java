package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.SequenceSource;
import dev.performer.pipeline.ModelLocation.RunSource;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Continues the training of any model, Python's SavedModels included: of a language model on
 * sequences, of any on labelled examples. Trains, exports the best weights, as the same model with
 * other values or with a new layer, and compares the export with what was trained.
 *
 * <p>The run directory gets config.json, metrics.jsonl, checkpoints/ and, at the end, model/.
 */
public final class FineTuneJob extends Job<FineTuneJob> {
  private final Supplier<Tuning> tuning;
  private Path validationFile;
  private SequenceSource validation;
  private SequenceBatching batching = SequenceBatching.DEFAULT;
  private LoopOptions loop = FineTuneOptions.LOOP;
  private boolean continueOptimizer;
  private String evaluated;

  private FineTuneJob(LanguageModelSpec spec, SequenceSource train, Path run) {
    super(run);
    tuning = () -> new LanguageTuning(spec, spec.in(evaluated), train, validation, batching);
  }

  private FineTuneJob(Model model, FineTuneTask task, Path train, Path run) {
    super(run);
    batching = SequenceBatching.LABELLED;
    loop = FineTuneOptions.TASK_LOOP;
    tuning = () -> new TaskTuning(model, task, train, validationFile, batching, evaluated);
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

  /**
   * A model of any kind learns from labelled examples.
   *
   * @param train CSV or TSV, gzipped or not; TFRecords; an .npz whose arrays are named like the
   *     signature's inputs, with the labels beside them; or a folder of images for each class
   */
  public static FineTuneJob of(Model model, FineTuneTask task, Path train, Path run) {
    return new FineTuneJob(model, task, train, run);
  }

  /** Labelled examples for evaluation only; where it is null, every 20th is held out. */
  public FineTuneJob validation(Path file) {
    validationFile = file;
    return this;
  }

  /** For evaluation only; where it is null, every 20th sequence is held out. */
  public FineTuneJob validation(SequenceSource value) {
    validation = value;
    return this;
  }

  /**
   * The signature that is evaluated, and by which the export is used; its inputs and output are
   * found by their names. Null for the one that is trained.
   */
  public FineTuneJob evaluatedBy(String signature) {
    evaluated = signature;
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
    Tuning learning = tuning.get();
    Path path = learning.model().path();
    Optional<Path> moments = continueOptimizer ? Optional.of(moments(path)) : Optional.empty();
    RunSource source = RunSource.of(path, learning.signature());
    if (resume) {
      source.requireStarted(run);
    }
    try (var imported =
        ImportedModel.load(
            learning.model().directory(),
            List.of(learning.signature(), learning.evaluated()),
            loop.adaptation())) {
      Tuning.Started started = learning.start(imported, loop, run, resume, progress);
      try (var tuner = started.trainer()) {
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
        imported.merge(tuner.session());
        Path target = run.resolve(ModelTraining.MODEL);
        double difference = started.export(result, target);
        return new Outcome(result, run, Optional.of(target), difference);
      }
    }
  }

  private static Path moments(Path path) {
    String missing =
        "%s: has no state of an optimizer (%s) to continue; import a checkpoint that holds one"
            .formatted(path, PerformerModels.OPTIMIZER);
    return PerformerModels.optimizer(path)
        .orElseThrow(() -> new PerformerException(missing).settledBy("continueOptimizer"));
  }
}
