package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.SequenceSource;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunSettings;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Session;

/**
 * Trains a language model: evaluates, takes optimizer steps, writes metrics, evaluates and saves
 * every so many steps, and can go on where an earlier run was stopped.
 *
 * <p>Owns the session and the run directory's lock; the model's graph stays the caller's. After
 * {@link #run} the session holds the trained weights.
 */
public final class FineTuner implements AutoCloseable {
  private final BatchSource train;
  private final BatchSource validation;
  private final Trainer trainer;

  /**
   * Opens a new run.
   *
   * @param directory new or empty
   * @throws PerformerException if the directory, the data or the model will not do
   */
  public static FineTuner start(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      Progress progress) {
    return start(model, data, options, directory, Optional.empty(), progress);
  }

  /**
   * Opens a new run that goes on with the moments of an optimizer.
   *
   * @param optimizer prefix of a TensorFlow checkpoint with the optimizer's variables; empty to
   *     begin anew
   * @throws PerformerException as {@link #start(LanguageModel, TrainingData, FineTuneOptions, Path,
   *     Progress)}, or if the checkpoint does not fit the model
   */
  public static FineTuner start(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      Optional<Path> optimizer,
      Progress progress) {
    return open(model, data, options, directory, false, optimizer, progress);
  }

  /**
   * Opens an earlier run, to go on from its newest whole checkpoint.
   *
   * @throws PerformerException if there is none, or it was started with another objective,
   *     batching, vocabulary or seed
   */
  public static FineTuner resume(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      Progress progress) {
    return open(model, data, options, directory, true, Optional.empty(), progress);
  }

  private static FineTuner open(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      boolean resume,
      Optional<Path> moments,
      Progress progress) {
    model.check(data.vocabulary());
    requireSequences(data.train());
    requireSequences(data.validation());
    return new FineTuner(model, data, options, directory, resume, moments, progress);
  }

  private FineTuner(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      boolean resume,
      Optional<Path> moments,
      Progress progress) {
    LoopOptions loop = options.loop();
    Batching batching = model.fit(options.batching());
    train =
        TokenBatchSource.training(
            ExampleBatches.of(data.train(), data.tokenizer(), batching, loop.seed()),
            options.objective(),
            loop.seed(),
            this::step);
    validation =
        TokenBatchSource.evaluation(
            ExampleBatches.of(
                data.validation(),
                data.tokenizer(),
                batching.forEvaluation(),
                TokenBatchSource.EVALUATION_SEED),
            options.objective());
    Trainable trainable = Trainable.of(model);
    RunDirectory run =
        RunDirectory.open(
            directory,
            resume,
            new RunSettings(
                RunSettings.CONFIG, FineTuneSettings.of(options, data), FineTuneSettings::current),
            progress);
    trainer =
        new Trainer(
            trainable,
            train,
            Validation.of(trainable, validation, loop.evaluationBatches()),
            loop,
            run,
            progress);
    try {
      moments.ifPresent(trainer::restoreOptimizer);
    } catch (RuntimeException e) {
      trainer.close();
      throw e;
    }
  }

  /** Where training diverges, the message names the op that it began at, too. */
  public void debugNumerics() {
    trainer.debugNumerics();
  }

  /** The weights as they are; valid until {@link #close}. */
  public Session session() {
    return trainer.session();
  }

  /**
   * Trains to the last step, or until Ctrl-C or SIGTERM.
   *
   * @throws PerformerException if loss or gradient is no longer finite, or the disk is full; the
   *     checkpoints are good
   */
  public TrainingResult run() {
    return trainer.run(0);
  }

  /** Ends {@link #run} once this is true, as {@link Trainer#stopWhen} does. */
  public void stopWhen(BooleanSupplier condition) {
    trainer.stopWhen(condition);
  }

  /** Ends {@link #run} as {@link Trainer#stop} does; from any thread. */
  public void stop() {
    trainer.stop();
  }

  /** Puts the weights of the best evaluation into the session. */
  public void restoreBest() {
    trainer.restoreBest();
  }

  @Override
  public void close() {
    try (train;
        validation) {
      trainer.close();
    }
  }

  private long step() {
    return trainer.step();
  }

  private static void requireSequences(SequenceSource source) {
    try (var stream = source.open()) {
      if (!stream.hasNext()) {
        throw new PerformerException(source.name() + " holds no sequence");
      }
    }
  }
}
