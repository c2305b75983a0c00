package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * The training loop: steps, metrics, evaluations, checkpoints, and going on where an earlier run
 * was stopped, bit for bit.
 *
 * <p>Owns the session; the run directory, the sources and the model's graph stay the caller's.
 * After {@link #run} the session holds the trained weights.
 */
final class Trainer implements AutoCloseable {
  private final Trainable model;
  private final TrainingOptions options;
  private final LearningRateSchedule rates;
  private final RunDirectory run;
  private final BatchSource train;
  private final BatchSource validation;
  private final Progress progress;
  private final OptimizerOps optimizer;
  private final TrainerStep step;
  private final TrainerEvaluator evaluator;
  private final SaveRestore store;
  private final Session session;
  private final boolean debugsNumerics;

  private TrainingState state;
  private long savedStep = -1;

  /**
   * Takes the newest whole checkpoint of the run directory, or first values.
   *
   * @param optimizer of the model
   * @param train without end
   * @param validation one pass
   * @param options its optimizer, rates and batches are not looked at
   * @param rates learning rate by step
   * @param debugsNumerics whether to look for the op that brought forth a NaN
   * @throws PerformerException if the model cannot be trained, or the run has steps but no whole
   *     checkpoint
   */
  Trainer(
      Trainable model,
      OptimizerOps optimizer,
      BatchSource train,
      BatchSource validation,
      TrainingOptions options,
      LearningRateSchedule rates,
      RunDirectory run,
      boolean debugsNumerics,
      Progress progress) {
    this.model = model;
    this.optimizer = optimizer;
    this.options = options;
    this.rates = rates;
    this.run = run;
    this.train = train;
    this.validation = validation;
    this.progress = progress;
    this.debugsNumerics = debugsNumerics;
    BatchSize fixed = options.xla() ? options.batchSize() : null;
    step = new TrainerStep(model, optimizer, options.seed(), fixed);
    evaluator = new TrainerEvaluator(model, validation, options.evaluationBatches());
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

  /** Steps done. */
  long step() {
    return state == null ? 0 : state.step();
  }

  /** The weights as they are; valid until {@link #close}. */
  Session session() {
    return session;
  }

  /**
   * Trains to the last step, or until Ctrl-C or SIGTERM.
   *
   * @param pauseAt step after which to stop as Ctrl-C would; 0 for none
   * @throws PerformerException if training diverges or the disk is full; the checkpoints are good
   */
  TrainingResult run(long pauseAt) {
    try (StopSignal stop = new StopSignal();
        TrainerLog log =
            TrainerLog.open(run, options, progress, state == null ? -1 : state.step())) {
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
  void restoreBest() {
    store.restore(session, run.at(state.bestStep()).prefix());
  }

  @Override
  public void close() {
    session.close();
  }

  private void trainOneStep(TrainerLog log, BooleanSupplier stop) {
    long start = System.nanoTime();
    double rate = rates.at(state.step(), options.steps());
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
      log.diagnostics(state.step(), evaluator.diagnostics(session));
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
    Optional<Evaluation> evaluation = evaluator.evaluate(session, stop);
    evaluation.ifPresent(
        result -> {
          state = state.withEvaluation(result);
          log.validation(state.step(), result);
        });
    return evaluation.isPresent() && state.standsAtBest();
  }

  private boolean begin(TrainerLog log, BooleanSupplier stop) {
    Optional<Evaluation> before = evaluator.evaluate(session, stop);
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
    return state.step() >= options.steps() || isOutOfPatience();
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
