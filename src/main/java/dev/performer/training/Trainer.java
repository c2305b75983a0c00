package dev.performer.training;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Variable;
import dev.performer.training.optim.OptimizerOps;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Interval;
import dev.performer.training.run.Progress;
import dev.performer.training.run.ResumePolicy;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.StopSignal;
import dev.performer.training.run.TrainerLog;
import dev.performer.training.run.TrainingResult;
import dev.performer.training.run.TrainingState;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * The training loop: steps, metrics, evaluations, checkpoints, and going on where an earlier run
 * was stopped, bit for bit. It trains any graph that is a {@link Trainable}; {@code RecipeTraining}
 * is the short way to train what a recipe says.
 *
 * <pre>{@code
 * try (Trainer trainer = Trainer.start(model, batches, validation, options, run, progress)) {
 *   TrainingResult result = trainer.run();
 *   trainer.restoreBest(); // trainer.session() has the weights until it is closed
 * }
 * }</pre>
 *
 * <p>Owns the session and, where it opened one, the run directory; the sources and the model's
 * graph stay the caller's. After {@link #run} the session holds the trained weights. For one
 * thread.
 */
public final class Trainer implements AutoCloseable {
  private final Trainable model;
  private final LoopOptions options;
  private final RunDirectory run;
  private final BatchSource train;
  private final Validation validation;
  private final Progress progress;
  private final OptimizerOps optimizer;
  private final TrainerStep step;
  private final SaveRestore store;
  private final Session session;

  private boolean debugsNumerics;
  private TrainingState state;
  private long savedStep = -1;
  private boolean ownsRun;

  /**
   * Opens a new run.
   *
   * @param model what is trained; optimizer and savers are added to its graph
   * @param train without end
   * @param validation such as {@link Validation#of(Trainable, BatchSource)}
   * @param options how; sizes of batches are {@code train}'s business, and what changes a graph,
   *     such as label smoothing, is refused
   * @param directory of the run: new or empty
   * @throws PerformerException if the directory is another's or cannot be written, or the model
   *     cannot be trained
   */
  public static Trainer start(
      Trainable model,
      BatchSource train,
      Validation validation,
      LoopOptions options,
      Path directory,
      Progress progress) {
    return open(model, train, validation, options, directory, false, progress);
  }

  /**
   * Opens an earlier run, to go on from its newest whole checkpoint; model and data must be the
   * same.
   *
   * @throws PerformerException as {@link #start}, or if there is no such run or checkpoint, or
   *     variables or an option differ that may not: the message names it
   */
  public static Trainer resume(
      Trainable model,
      BatchSource train,
      Validation validation,
      LoopOptions options,
      Path directory,
      Progress progress) {
    return open(model, train, validation, options, directory, true, progress);
  }

  private static Trainer open(
      Trainable model,
      BatchSource train,
      Validation validation,
      LoopOptions options,
      Path directory,
      boolean resume,
      Progress progress) {
    TrainerSettings.requireNoneOfTheGraph(model, options);
    RunDirectory run = RunDirectory.open(directory, resume);
    try {
      ObjectNode settings = TrainerSettings.of(model, train, options);
      run.config().ifPresent(was -> ResumePolicy.report(was, settings, directory, progress));
      Trainer trainer = new Trainer(model, train, validation, options, run, progress);
      try {
        run.writeConfig(settings);
      } catch (RuntimeException e) {
        trainer.close();
        throw e;
      }
      trainer.ownsRun = true;
      return trainer;
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
  }

  /**
   * Takes the newest whole checkpoint of the run directory, or first values.
   *
   * @param train without end
   * @param options its batch is not looked at
   * @throws PerformerException if the model cannot be trained, or the run has steps but no whole
   *     checkpoint
   */
  public Trainer(
      Trainable trained,
      BatchSource train,
      Validation validation,
      LoopOptions options,
      RunDirectory run,
      Progress progress) {
    this.options = options;
    this.run = run;
    this.train = train;
    this.validation = validation;
    this.progress = progress;
    step = TrainerStep.of(trained, options);
    model = step.model();
    optimizer = step.optimizer();
    List<Variable> saved = new ArrayList<>(model.variables());
    model.averages().ifPresent(averages -> saved.addAll(averages.averages().values()));
    saved.addAll(optimizer.slots());
    store = SaveRestore.of(Ops.create(model.graph()).withSubScope("training"), saved);
    session = CompiledStep.session(model.graph(), options.xla());
    try {
      restoreOrInitialize();
    } catch (RuntimeException e) {
      session.close();
      throw e;
    }
  }

  /**
   * Where training diverges, the message names the op that it began at, too; for that every op is
   * computed once more.
   *
   * @return this
   */
  public Trainer debugNumerics() {
    debugsNumerics = true;
    return this;
  }

  /** Steps done. */
  public long step() {
    return state == null ? 0 : state.step();
  }

  /** The weights as they are; valid until {@link #close}. */
  public Session session() {
    return session;
  }

  /**
   * Trains to the last step, or until Ctrl-C or SIGTERM.
   *
   * @throws PerformerException if training diverges or the disk is full; the checkpoints are good
   */
  public TrainingResult run() {
    return run(0);
  }

  /**
   * The same, up to a step.
   *
   * @param pauseAt step after which to stop as Ctrl-C would; 0 for none
   * @throws PerformerException if training diverges or the disk is full; the checkpoints are good
   */
  public TrainingResult run(long pauseAt) {
    try (StopSignal stop = new StopSignal();
        TrainerLog log =
            TrainerLog.open(
                run, options, validation, progress, state == null ? -1 : state.step())) {
      if (state == null && !begin(log, stop::requested)) {
        throw new PerformerException("stopped before the first step; nothing was trained");
      }
      warnOfUnused();
      log.plot(); // loads what draws, which a JVM that is shutting down no longer can
      progress.start(state.step(), options.steps());
      train.restore(state.position());
      while (!isFinished() && !stop.requested() && (pauseAt == 0 || state.step() < pauseAt)) {
        trainOneStep(log, stop::requested);
      }
      if (savedStep != state.step()) {
        save();
      }
      train.reportOnce().ifPresent(progress::message);
      TrainingResult result = result();
      if (!result.finished()) {
        progress.message("stopped after step " + state.step() + "; the run can be resumed");
      }
      log.finish(result);
      return result;
    } finally {
      progress.close();
    }
  }

  /** Puts the weights of the best evaluation into the session. */
  public void restoreBest() {
    store.restore(session, run.at(state.bestStep()).prefix());
  }

  @Override
  public void close() {
    try {
      session.close();
    } finally {
      if (ownsRun) {
        run.close();
      }
    }
  }

  /** Sets the optimizer's variables to those of a TensorFlow checkpoint. */
  void restoreOptimizer(Path prefix) {
    SaveRestore.of(Ops.create(model.graph()).withSubScope("moments"), optimizer.slots())
        .restore(session, prefix);
  }

  private void trainOneStep(TrainerLog log, BooleanSupplier stop) {
    long start = System.nanoTime();
    double rate = options.schedule().at(state.step(), options.steps());
    List<LabelledBatch> batches = new ArrayList<>();
    for (int i = 0; i < options.accumulate(); i++) {
      batches.add(train.next());
    }
    TrainerStep.Measured measured;
    try {
      measured = step.run(session, batches, state.step(), rate);
    } catch (TrainerStep.NotFinite e) {
      throw diverged("the loss or its gradient is not finite", batches, rate, e);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    state = state.afterStep(train.position(), measured.tokens(), seconds);
    state = state.withInterval(state.interval().plus(measured, seconds));
    progress.step(state.step(), measured.loss(), state.interval().tokensPerSecond());
    if (due(options.logEvery())) {
      Interval interval = state.interval();
      log.training(state.step(), interval, rate);
      state = state.withInterval(Interval.EMPTY);
      double limit = options.divergence() * state.before().loss();
      if (options.divergence() > 0 && interval.loss() > limit) {
        String what =
            String.format(
                Locale.ROOT,
                "the loss is %.4g, over %.4g times the %.4g before training",
                interval.loss(),
                options.divergence(),
                state.before().loss());
        throw diverged(what, batches, rate, null);
      }
    }
    if (due(options.diagnosticsEvery()) && !model.diagnostics().isEmpty()) {
      log.diagnostics(state.step(), validation.diagnostics(session));
    }
    boolean best = evaluateIfDue(log, stop);
    if (best || due(options.checkpointEvery())) {
      save();
    }
    train.reportOnce().ifPresent(progress::message);
  }

  /** Whether there was an evaluation and it is the best so far. */
  private boolean evaluateIfDue(TrainerLog log, BooleanSupplier stop) {
    if (!due(options.evaluateEvery()) && state.step() != options.steps()) {
      return false;
    }
    Optional<Evaluation> evaluation = validation.evaluate(session, stop);
    evaluation.ifPresent(
        result -> {
          state = state.withEvaluation(result, isBetter(result));
          log.validation(state.step(), result);
        });
    return evaluation.isPresent() && state.standsAtBest();
  }

  private boolean isBetter(Evaluation evaluation) {
    double least = validation.distance(state.best());
    return validation.distance(evaluation) < least || Double.isNaN(least);
  }

  private boolean begin(TrainerLog log, BooleanSupplier stop) {
    Optional<Evaluation> before = validation.evaluate(session, stop);
    before.ifPresent(
        result -> {
          state = TrainingState.start(result);
          log.validation(0, result);
          validation.reportOnce().ifPresent(progress::message);
          save();
        });
    return before.isPresent();
  }

  private boolean isFinished() {
    return state.step() >= options.steps()
        || isOutOfPatience()
        || validation.isEnough(state.best());
  }

  private boolean isOutOfPatience() {
    return options.patience() > 0
        && state.step() - state.bestStep() >= options.patience() * options.evaluateEvery();
  }

  private boolean due(long every) {
    return every > 0 && state.step() % every == 0;
  }

  private void save() {
    run.save(state, options.keepCheckpoints(), prefix -> store.save(session, prefix));
    savedStep = state.step();
  }

  private PerformerException diverged(
      String what, List<LabelledBatch> batches, double rate, RuntimeException cause) {
    NumericsCheck check = new NumericsCheck(model, optimizer, step, session);
    String where = check.describe(batches, state.step(), debugsNumerics);
    return new PerformerException(
        String.format(
            Locale.ROOT,
            "training diverged at step %d: %s; %s; the last good checkpoint is %s; lower the"
                + " learning rate (now %.3g) and resume",
            state.step() + (cause == null ? 0 : 1),
            what,
            where,
            run.root().resolve("checkpoints").resolve("step-" + savedStep),
            rate),
        cause);
  }

  private void warnOfUnused() {
    List<String> names = unusedNames();
    if (!names.isEmpty()) {
      String some = String.join(", ", names.subList(0, Math.min(3, names.size())));
      progress.message(
          names.size()
              + " trainable variables do not act on the loss and stay as they are: "
              + some
              + (names.size() > 3 ? ", …" : ""));
    }
  }

  private List<String> unusedNames() {
    return optimizer.unused().stream().map(Variable::name).toList();
  }

  private void restoreOrInitialize() {
    model.initializer().accept(session);
    optimizer.initializer().accept(session);
    Optional<Checkpoint> newest = run.newest(progress::message);
    if (newest.isEmpty() && run.hasSaved()) {
      throw new PerformerException(
          run.root() + " has no whole checkpoint to resume from; start in another directory");
    }
    newest.ifPresent(
        checkpoint -> {
          store.restore(session, checkpoint.prefix());
          state = checkpoint.state();
          savedStep = state.step();
          progress.message("resumed at step " + savedStep);
        });
  }

  private TrainingResult result() {
    return new TrainingResult(
        state.before(),
        state.latest(),
        state.best(),
        state.bestStep(),
        state.step(),
        isFinished(),
        state.tokens(),
        state.seconds(),
        state.seconds() == 0 ? 0 : state.tokens() / state.seconds(),
        run.root().resolve("checkpoints").resolve("step-" + state.step()),
        unusedNames());
  }
}
