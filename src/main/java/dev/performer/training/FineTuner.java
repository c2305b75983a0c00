package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.ExampleBatches;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunDirectory.Settings;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Opens a {@link Trainer} of a language model on sequences; the model's graph stays the caller's.
 */
public final class FineTuner {
  private FineTuner() {}

  /**
   * Opens a new run.
   *
   * @param directory new or empty
   * @throws PerformerException if the directory, the data or the model will not do
   */
  public static Trainer start(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      Progress progress) {
    return open(model, data, options, directory, false, progress);
  }

  /**
   * Opens an earlier run, to go on from its newest whole checkpoint.
   *
   * @throws PerformerException if there is none, or it was started with another objective,
   *     batching, vocabulary or seed
   */
  public static Trainer resume(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      Progress progress) {
    return open(model, data, options, directory, true, progress);
  }

  private static Trainer open(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      boolean resume,
      Progress progress) {
    model.check(data.vocabulary());
    for (var source : List.of(data.train(), data.validation())) {
      try (var stream = source.open()) {
        PerformerException.require(stream.hasNext(), "%s holds no sequence", source.name());
      }
    }
    LoopOptions loop = options.loop();
    var batching = model.fit(options.batching());
    var trained = ExampleBatches.of(data.train(), data.tokenizer(), batching, loop.seed());
    var held =
        ExampleBatches.of(
            data.validation(),
            data.tokenizer(),
            batching.forEvaluation(),
            TokenBatchSource.EVALUATION_SEED);
    var opened = new AtomicReference<Trainer>();
    BatchSource train =
        TokenBatchSource.training(
            trained, options.objective(), loop.seed(), () -> opened.get().step());
    BatchSource validation = TokenBatchSource.evaluation(held, options.objective());
    Trainable trainable = Trainable.of(model);
    var best = Validation.of(trainable, validation, loop.evaluationBatches());
    var settings = FineTuneSettings.of(options, data);
    var kept = new Settings(RunDirectory.CONFIG, settings, FineTuneSettings::current);
    RunDirectory run = RunDirectory.open(directory, resume, kept, progress);
    opened.set(new Trainer(trainable, train, best, loop, run, progress));
    return opened.get().owning(train, validation);
  }
}
