package dev.performer.training;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Variable;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Checkpoint.Interval;
import dev.performer.training.run.Checkpoint.TrainingState;
import dev.performer.training.run.ExitHook;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunDirectory.Settings;
import dev.performer.training.run.TrainerLog;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.BooleanSupplier;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * The training loop: steps, metrics, evaluations, checkpoints, and going on where an earlier run
 * was stopped, bit for bit. It trains any graph that is a {@link Trainable}.
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
  private final Schedule schedule;
  private final RunDirectory run;
  private final BatchSource train;
  private final Validation validation;
  private final Progress progress;
  private final TrainerStep step;
  private final SaveRestore store;
  private final Session session;
  private final RunEvaluations evaluations;

  private boolean debugsNumerics;
  private TrainingState state;
  private long savedStep = -1;
  private Duration exitGrace = Duration.ofSeconds(30);
  private List<BatchSource> owned = List.of();
  private volatile boolean stops;
  private BooleanSupplier stopCondition = () -> false;

  /**
   * Opens a new run.
   *
   * @param model optimizer and savers are added to its graph
   * @param train without end
   * @param options sizes of batches are {@code train}'s business, and what changes a graph, such as
   *     label smoothing, is refused
   * @param directory new or empty
   * @throws PerformerException if directory or model will not do
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
   * Opens an earlier run, to go on from its newest whole checkpoint with the same model and data.
   *
   * @throws PerformerException if there is none; it names an option that differs
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
    var run = RunDirectory.open(directory, resume, settings(model, train, options), progress);
    return new Trainer(model, train, validation, options, run, progress);
  }

  /** What the rest of a run is compared with; refuses what a recipe builds into its own graph. */
  private static Settings settings(Trainable model, BatchSource train, LoopOptions options) {
    for (String key : List.of("averageDecay", "labelSmoothing", "zLoss", "precision")) {
      boolean isDefault = options.toJson().get(key).equals(LoopOptions.DEFAULT.toJson().get(key));
      boolean isBuilt = key.equals("averageDecay") && model.averages().isPresent();
      String text = "training option %s is no business of the loop: build it into the graph";
      PerformerException.require(isDefault || isBuilt, text, key);
    }
    ObjectNode settings = JsonNodeFactory.instance.objectNode().put("format", 1);
    settings.putObject("data").put("train", train.name());
    settings.set("training", options.toJson());
    ObjectNode variables = settings.putObject("variables");
    model.variables().forEach(v -> variables.put(v.name(), v.shape().toString()));
    return Settings.of(settings);
  }

  /** Takes the newest whole checkpoint of a run, which it closes, or first values. */
  public Trainer(
      Trainable model,
      BatchSource train,
      Validation validation,
      LoopOptions options,
      RunDirectory run,
      Progress progress) {
    this.model = model;
    this.options = options;
    schedule = options.schedule();
    this.run = run;
    this.train = train;
    this.validation = validation;
    this.progress = progress;
    try {
      step = TrainerStep.of(model, options);
      List<Variable> saved = new ArrayList<>(model.variables());
      model.averages().ifPresent(averages -> saved.addAll(averages.averages().values()));
      saved.addAll(step.optimizer().slots());
      model.segments().ifPresent(segments -> saved.addAll(segments.carried()));
      store = SaveRestore.of(Ops.create(model.graph()).withSubScope("training"), saved);
      session = TrainerStep.session(model.graph(), options.xla());
      evaluations = new RunEvaluations(validation, session, store, run, progress, this::stops);
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

  private void restoreOrInitialize() {
    model.initializer().accept(session);
    step.optimizer().initializer().accept(session);
    var newest = run.newest(progress::message);
    String text = "%s has no whole checkpoint to resume from; start in another directory";
    PerformerException.require(newest.isPresent() || !run.hasSaved(), text, run.root());
    newest.ifPresent(
        checkpoint -> {
          store.restore(session, checkpoint.prefix());
          state = checkpoint.state();
          savedStep = state.step();
          progress.message("resumed at step " + savedStep);
        });
  }

  /** Sets the optimizer's variables to those of a TensorFlow checkpoint. */
  public void restoreOptimizer(Path prefix) {
    SaveRestore.of(Ops.create(model.graph()).withSubScope("moments"), step.optimizer().slots())
        .restore(session, prefix);
  }

  /** Closes these with itself. */
  public Trainer owning(BatchSource... sources) {
    owned = List.of(sources);
    return this;
  }

  /** Where training diverges, every op is computed once more to name the one it began at. */
  public Trainer debugNumerics() {
    debugsNumerics = true;
    return this;
  }

  /**
   * Ends {@link #run} after the step under way, with a checkpoint, as Ctrl-C does. May be called
   * from any thread, before a run, too, and from a listener; another run goes on.
   */
  public void stop() {
    stops = true;
  }

  /** Ends {@link #run} once this is true; polled between steps and batches of an evaluation. */
  public Trainer stopWhen(BooleanSupplier condition) {
    stopCondition = condition;
    return this;
  }

  private boolean stops() {
    return stops || stopCondition.getAsBoolean();
  }

  /** How long an exit waits for a step and its checkpoint; zero not to notice it. */
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

  /** Trains to the last step, or until Ctrl-C or SIGTERM; if it fails, checkpoints are good. */
  public TrainingResult run() {
    return run(0);
  }

  /** The same, up to a step, as if Ctrl-C came after it; 0 for none. */
  TrainingResult run(long pauseAt) {
    long from = state == null ? -1 : state.step();
    String plotted = validation.plotted();
    try (ExitHook hook = new ExitHook(this::stop, exitGrace);
        TrainerLog log = new TrainerLog(run, options.steps(), plotted, progress, from)) {
      TrainingState was = state;
      state = was == null ? evaluations.first(log) : evaluations.resumed(was, log);
      if (was == null || was.latest() != state.latest()) {
        save();
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
      TrainingResult result = state.result(isFinished(), run.place(state.step()), unused());
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
      owned.forEach(BatchSource::close);
      run.close();
    }
  }

  private void trainOneStep(TrainerLog log) {
    long start = System.nanoTime();
    double rate = schedule.at(state.step(), options.steps());
    List<LabelledBatch> batches = new ArrayList<>();
    for (int i = 0; i < options.accumulate(); i++) {
      batches.add(train.next());
    }
    try {
      Interval measured = step.run(session, batches, state.step(), rate);
      double seconds = (System.nanoTime() - start) / 1e9;
      state = state.afterStep(train.position(), measured, seconds);
      progress.step(state.step(), measured.loss(), state.interval().tokensPerSecond());
    } catch (TrainerStep.NotFinite e) {
      throw diverged("the loss or its gradient is not finite", batches, rate, e);
    }
    if (due(options.logEvery())) {
      Interval interval = state.interval();
      log.training(state.step(), interval, rate);
      state = state.withInterval(Interval.EMPTY);
      double first = state.before().loss();
      if (options.divergence() > 0 && interval.loss() > options.divergence() * first) {
        String what = "the loss is %.4g, over %.4g times the %.4g before training";
        what = String.format(Locale.ROOT, what, interval.loss(), options.divergence(), first);
        throw diverged(what, batches, rate, null);
      }
    }
    if (due(options.diagnosticsEvery()) && !model.diagnostics().isEmpty()) {
      log.diagnostics(state.step(), validation.diagnostics(session));
    }
    if (due(options.evaluateEvery()) || state.step() == options.steps()) {
      state = evaluations.next(state, log).orElse(state);
    }
    if (state.standsAtBest() || due(options.checkpointEvery())) {
      save();
    }
    train.reportOnce().ifPresent(progress::message);
  }

  private PerformerException diverged(
      String what, List<LabelledBatch> batches, double rate, RuntimeException cause) {
    return new NumericsCheck(step, session, state.step(), batches, rate)
        .diverged(what, debugsNumerics, run.place(savedStep), cause);
  }

  private boolean isFinished() {
    long patience = options.patience() * options.evaluateEvery(); // in steps
    boolean isOutOfPatience = patience > 0 && state.step() - state.bestStep() >= patience;
    return state.step() >= options.steps() || isOutOfPatience || validation.isEnough(state.best());
  }

  private boolean due(long every) {
    return every > 0 && state.step() % every == 0;
  }

  private void save() {
    run.save(state, options.keepCheckpoints(), prefix -> store.save(session, prefix));
    savedStep = state.step();
    progress.checkpoint(savedStep, run.place(savedStep));
  }

  private List<String> unused() {
    return step.optimizer().gradients().unused().stream().map(Variable::name).toList();
  }

  private void warnOfUnused() {
    List<String> names = unused();
    if (!names.isEmpty()) {
      String some = String.join(", ", names.subList(0, Math.min(3, names.size())));
      String text = "%d trainable variables do not act on the loss and stay as they are: %s%s";
      progress.message(text.formatted(names.size(), some, names.size() > 3 ? ", …" : ""));
    }
  }
}
