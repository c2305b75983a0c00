package dev.performer.training;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.SequenceBatches;
import dev.performer.data.SequenceSource;
import dev.performer.data.SequenceStream;
import dev.performer.training.run.Progress;
import dev.performer.training.run.ResumePolicy;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.Optional;
import org.tensorflow.Session;

/**
 * Trains a language model: evaluates, takes optimizer steps, writes metrics, evaluates and saves
 * every so many steps, and can go on where an earlier run was stopped.
 *
 * <p>Owns the session and the run directory's lock; the model's graph stays the caller's. After
 * {@link #run} the session holds the trained weights.
 */
public final class FineTuner implements AutoCloseable {
  private final RunDirectory run;
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
    RunDirectory run = RunDirectory.open(directory, resume);
    try {
      return new FineTuner(model, data, options, directory, run, moments, progress);
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
  }

  private FineTuner(
      LanguageModel model,
      TrainingData data,
      FineTuneOptions options,
      Path directory,
      RunDirectory run,
      Optional<Path> moments,
      Progress progress) {
    this.run = run;
    ObjectNode settings = FineTuneSettings.of(options, data);
    run.config()
        .map(FineTuneSettings::current)
        .ifPresent(was -> ResumePolicy.report(was, settings, directory, progress));
    Batching batching = model.fit(options.batching());
    train =
        TokenBatchSource.training(
            new SequenceBatches(data.train(), data.tokenizer(), batching, options.loop().seed()),
            options.objective(),
            options.loop().seed(),
            this::step);
    validation =
        TokenBatchSource.evaluation(
            new SequenceBatches(
                data.validation(),
                data.tokenizer(),
                batching.forEvaluation(),
                Evaluator.DEFAULT_SEED),
            options.objective());
    Trainable trainable = Trainable.of(model);
    trainer =
        new Trainer(
            trainable,
            train,
            Validation.of(trainable, validation, options.loop().evaluationBatches()),
            options.loop(),
            run,
            progress);
    try {
      moments.ifPresent(trainer::restoreOptimizer);
      run.writeConfig(settings);
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

  /** Puts the weights of the best evaluation into the session. */
  public void restoreBest() {
    trainer.restoreBest();
  }

  @Override
  public void close() {
    try (run;
        train;
        validation) {
      trainer.close();
    }
  }

  private long step() {
    return trainer.step();
  }

  private static void requireSequences(SequenceSource source) {
    try (SequenceStream stream = source.open()) {
      if (!stream.hasNext()) {
        throw new PerformerException(source.name() + " holds no sequence");
      }
    }
  }
}
