package dev.performer.training;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Variable;
import dev.performer.nn.Precision;
import dev.performer.training.optim.OptimizerOps;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.ExitHook;
import dev.performer.training.run.Interval;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunSettings;
import dev.performer.training.run.StepMeasures;
import dev.performer.training.run.TrainerLog;
import dev.performer.training.run.TrainingResult;
import dev.performer.training.run.TrainingState;
import java.nio.file.Path;
import java.time.Duration;
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
 * is the short way to train what a recipe describes.
 *
 * <pre>{@code
 * try (Trainer trainer = Trainer.start(model, batches, validation, options, run, progress)) {
 *   TrainingResult result = trainer.run();
 *   trainer.restoreBest(); // trainer.session() has the weights until it is closed
 * }
 * }</pre>
 *
 * <p>Owns the session and the run directory; the sources and the model's graph stay the caller's.
 * After {@link #run} the session holds the trained weights. For one thread, but for {@link #stop}.
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
  private Duration exitGrace = Duration.ofSeconds(30);
  private volatile boolean stops;
  private BooleanSupplier stopCondition = () -> false;

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
    requireNoneOfTheGraph(model, options);
    RunDirectory run =
        RunDirectory.open(
            directory, resume, RunSettings.of(settings(model, train, options)), progress);
    return new Trainer(model, train, validation, options, run, progress);
  }

  /** What the rest of a run is compared with; variables of a graph that differs, too. */
  private static ObjectNode settings(Trainable model, BatchSource train, LoopOptions options) {
    ObjectNode settings = JsonNodeFactory.instance.objectNode().put("format", 1);
    settings.putObject("data").put("train", train.name());
    settings.set("training", options.toJson());
    ObjectNode variables = settings.putObject("variables");
    for (Variable variable : model.variables()) {
      variables.put(variable.name(), variable.shape().toString());
    }
    return settings;
  }

  /** Refuses what a recipe builds into its graph, where the graph is a program's own. */
  private static void requireNoneOfTheGraph(Trainable model, LoopOptions options) {
    boolean averages = options.averageDecay() > 0 && model.averages().isEmpty();
    String key =
        averages
            ? "averageDecay"
            : options.labelSmoothing() > 0
                ? "labelSmoothing"
                : options.zLoss() > 0
                    ? "zLoss"
                    : options.precision() != Precision.FLOAT32 ? "precision" : null;
    if (key != null) {
      throw new PerformerException(
          "training option " + key + " is no business of the loop: build it into the graph");
    }
  }

  /**
   * Takes the newest whole checkpoint of the run directory, or first values.
   *
   * @param train without end
   * @param options its batch is not looked at
   * @param run closed with this, or where it cannot be opened
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
    try {
      step = TrainerStep.of(trained, options);
      model = step.model();
      optimizer = step.optimizer();
      List<Variable> saved = new ArrayList<>(model.variables());
      model.averages().ifPresent(averages -> saved.addAll(averages.averages().values()));
      saved.addAll(optimizer.slots());
      store = SaveRestore.of(Ops.create(model.graph()).withSubScope("training"), saved);
      session = CompiledStep.session(model.graph(), options.xla());
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
    try {
      restoreOrInitialize();
      run.writeSettings();
    } catch (RuntimeException e) {
      close();
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

  /**
   * Ends {@link #run} after the step under way, with a checkpoint, as Ctrl-C does; a {@code run}
   * that has not begun ends at once. May be called from any thread and from a listener. Another
   * {@code run} goes on.
   */
  public void stop() {
    stops = true;
  }

  /**
   * Ends {@link #run} as {@link #stop} does, once this is true.
   *
   * @param condition polled between steps and between batches of an evaluation
   * @return this
   */
  public Trainer stopWhen(BooleanSupplier condition) {
    stopCondition = condition;
    return this;
  }

  private boolean stops() {
    return stops || stopCondition.getAsBoolean();
  }

  /**
   * How long a JVM that exits waits for the step under way and its checkpoint.
   *
   * @param grace zero if an exit shall not be noticed at all; without this, 30 seconds
   * @return this
   */
  public Trainer exitGrace(Duration grace) {
    exitGrace = grace;
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
    try (ExitHook hook = new ExitHook(this::stop, exitGrace);
        TrainerLog log =
            TrainerLog.open(
                run,
                options.steps(),
                validation.plotted(),
                progress,
                state == null ? -1 : state.step())) {
      if (state != null) {
        compareValidation(log);
      } else if (!begin(log)) {
        throw new PerformerException("stopped before the first step; nothing was trained");
      }
      warnOfUnused();
      log.plot(); // loads what draws, which a JVM that is shutting down no longer can
      progress.start(state.step(), options.steps());
      train.restore(state.position());
      while (!isFinished() && !stops() && (pauseAt == 0 || state.step() < pauseAt)) {
        trainOneStep(log);
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
      stops = false;
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
      run.close();
    }
  }

  /** Sets the optimizer's variables to those of a TensorFlow checkpoint. */
  void restoreOptimizer(Path prefix) {
    SaveRestore.of(Ops.create(model.graph()).withSubScope("moments"), optimizer.slots())
        .restore(session, prefix);
  }

  private void trainOneStep(TrainerLog log) {
    long start = System.nanoTime();
    double rate = options.schedule().at(state.step(), options.steps());
    List<LabelledBatch> batches = new ArrayList<>();
    for (int i = 0; i < options.accumulate(); i++) {
      batches.add(train.next());
    }
    StepMeasures measured;
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
    boolean best = evaluateIfDue(log);
    if (best || due(options.checkpointEvery())) {
      save();
    }
    train.reportOnce().ifPresent(progress::message);
  }

  /** Whether there was an evaluation and it is the best so far. */
  private boolean evaluateIfDue(TrainerLog log) {
    if (!due(options.evaluateEvery()) && state.step() != options.steps()) {
      return false;
    }
    Optional<Evaluation> evaluation = validation.evaluate(session, this::stops);
    evaluation.ifPresent(
        result -> {
          state = state.withEvaluation(result, isBetter(result));
          log.validation(state.step(), result, validation.describe(result));
        });
    return evaluation.isPresent() && state.standsAtBest();
  }

  private boolean isBetter(Evaluation evaluation) {
    double least = validation.distance(state.best());
    return validation.distance(evaluation) < least || Double.isNaN(least);
  }

  private boolean begin(TrainerLog log) {
    Optional<Evaluation> before = validation.evaluate(session, this::stops);
    before.ifPresent(
        result -> {
          state = TrainingState.start(result, validation.fingerprint());
          log.validation(0, result, validation.describe(result));
          validation.reportOnce().ifPresent(progress::message);
          save();
        });
    return before.isPresent();
  }

  /**
   * Evaluations of a resumed run are compared with the best before: where the data are others now,
   * its weights and these are measured anew.
   */
  private void compareValidation(TrainerLog log) {
    String data = validation.fingerprint();
    if (state.validation() == null) {
      state = state.remeasured(state.latest(), state.best(), state.bestStep(), data);
    }
    if (data.equals(state.validation())) {
      return;
    }
    progress.message("the validation data are others now; the best weights are measured on these");
    Optional<Evaluation> now = validation.evaluate(session, this::stops);
    Optional<Evaluation> best = state.standsAtBest() ? now : evaluateBest(now);
    if (now.isEmpty() || best.isEmpty()) {
      return;
    }
    boolean isBetter = validation.distance(now.get()) <= validation.distance(best.get());
    state =
        state.remeasured(
            now.get(),
            isBetter ? now.get() : best.get(),
            isBetter ? state.step() : state.bestStep(),
            data);
    log.validation(state.step(), now.get(), validation.describe(now.get()));
    save();
  }

  /**
   * @param otherwise where its checkpoint is damaged
   */
  private Optional<Evaluation> evaluateBest(Optional<Evaluation> otherwise) {
    Path best;
    try {
      best = run.at(state.bestStep()).prefix();
    } catch (PerformerException e) {
      progress.message(e.getMessage());
      return otherwise;
    }
    try {
      store.restore(session, best);
      return validation.evaluate(session, this::stops);
    } finally {
      store.restore(session, run.at(state.step()).prefix());
    }
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
    Checkpoint saved =
        run.save(state, options.keepCheckpoints(), prefix -> store.save(session, prefix));
    savedStep = state.step();
    progress.checkpoint(savedStep, saved.directory());
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
