package dev.performer.training;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.BatchStream;
import dev.performer.data.SequenceBatches;
import dev.performer.data.SequenceSource;
import dev.performer.data.SequenceStream;
import dev.performer.data.TokenBatch;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Variable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.op.Ops;

/**
 * Trains a language model: evaluates, takes optimizer steps, writes metrics, evaluates and saves
 * every so many steps, and can go on where an earlier run was stopped.
 *
 * <p>Owns the session and the run directory's lock; the model's graph stays the caller's. After
 * {@link #run} the session holds the trained weights.
 */
public final class FineTuner implements AutoCloseable {
  private final LanguageModel model;
  private final TrainingConfig config;
  private final Progress progress;
  private final Path directory;
  private final RunDirectory run;
  private final SequenceBatches train;
  private final SequenceBatches validation;
  private final Evaluator evaluator;
  private final TrainingStep step;
  private final SaveRestore store;
  private final Session session;

  private TrainingState state;
  private long savedStep = -1;

  /**
   * Opens a new run.
   *
   * @param directory new or empty
   * @throws PerformerException if the directory, the data or the model will not do
   */
  public static FineTuner start(
      LanguageModel model,
      TrainingData data,
      TrainingConfig config,
      Path directory,
      Progress progress) {
    return start(model, data, config, directory, Optional.empty(), progress);
  }

  /**
   * Opens a new run that goes on with the moments of an optimizer.
   *
   * @param optimizer prefix of a TensorFlow checkpoint with {@link AdamW#slots}; empty to begin
   *     anew
   * @throws PerformerException as {@link #start(LanguageModel, TrainingData, TrainingConfig, Path,
   *     Progress)}, or if the checkpoint does not fit the model
   */
  public static FineTuner start(
      LanguageModel model,
      TrainingData data,
      TrainingConfig config,
      Path directory,
      Optional<Path> optimizer,
      Progress progress) {
    return open(model, data, config, directory, false, optimizer, progress);
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
      TrainingConfig config,
      Path directory,
      Progress progress) {
    return open(model, data, config, directory, true, Optional.empty(), progress);
  }

  private static FineTuner open(
      LanguageModel model,
      TrainingData data,
      TrainingConfig config,
      Path directory,
      boolean resume,
      Optional<Path> moments,
      Progress progress) {
    model.check(data.vocabulary());
    requireSequences(data.train());
    requireSequences(data.validation());
    RunDirectory run = RunDirectory.open(directory, resume);
    try {
      return new FineTuner(model, data, config, directory, run, moments, progress);
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
  }

  private FineTuner(
      LanguageModel model,
      TrainingData data,
      TrainingConfig config,
      Path directory,
      RunDirectory run,
      Optional<Path> moments,
      Progress progress) {
    this.model = model;
    this.config = config;
    this.progress = progress;
    this.directory = directory;
    this.run = run;
    var batching = model.fit(config.batching());
    train = new SequenceBatches(data.train(), data.tokenizer(), batching, config.seed());
    validation =
        new SequenceBatches(
            data.validation(), data.tokenizer(), batching.forEvaluation(), Evaluator.DEFAULT_SEED);
    ObjectNode resolved = ResolvedConfig.of(config, data);
    compareConfig(resolved);

    LossGraph loss = LossGraph.build(model);
    AdamW optimizer = optimizer(model, loss, config);
    evaluator = new Evaluator(model, config.objective(), loss, Evaluator.DEFAULT_SEED);
    step = new TrainingStep(model, loss, optimizer);
    List<Variable> saved = new ArrayList<>(model.variables());
    saved.addAll(optimizer.slots());
    store = SaveRestore.of(Ops.create(model.graph()).withSubScope("training"), saved);
    session = new Session(model.graph(), false);
    try {
      restoreOrInitialize(optimizer, moments);
      run.writeConfig(resolved);
    } catch (RuntimeException e) {
      session.close();
      throw e;
    }
  }

  /** The weights as they are; valid until {@link #close}. */
  public Session session() {
    return session;
  }

  /**
   * Trains to the last step, or until Ctrl-C or SIGTERM.
   *
   * @throws PerformerException if loss or gradient is no longer finite, or the disk is full; the
   *     checkpoints are good
   */
  public TrainingResult run() {
    try (StopSignal stop = new StopSignal();
        MetricsLog metrics = MetricsLog.open(run.metrics(), state == null ? -1 : state.step())) {
      if (state == null && !evaluateFirst(metrics, stop)) {
        throw new PerformerException("stopped before the first step; nothing was trained");
      }
      warnOfUnused();
      plot(metrics); // loads what draws, which a JVM that is shutting down no longer can
      progress.start(state.step(), config.steps());
      train(metrics, stop);
      if (savedStep != state.step()) {
        save();
      }
      plot(metrics);
      train.reportOnce().ifPresent(progress::message);
      if (state.step() < config.steps()) {
        progress.message("stopped after step " + state.step() + "; the run can be resumed");
      }
      return result();
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
      run.close();
    }
  }

  private void train(MetricsLog metrics, StopSignal stop) {
    Interval interval = new Interval();
    try (BatchStream batches = train.from(state.position())) {
      while (state.step() < config.steps() && !stop.requested()) {
        long start = System.nanoTime();
        TokenBatch batch = batches.next();
        double rate = config.schedule().at(state.step(), config.steps());
        LabelledBatch labelled =
            config.objective().label(batch, train.vocabulary(), config.seed(), state.step());
        TrainingStep.Measured measured = step.run(session, labelled, rate);
        requireFinite(measured, rate);
        double seconds = (System.nanoTime() - start) / 1e9;
        state = state.afterStep(batch.position().next(), batch.realTokens(), seconds);
        interval.add(measured, batch.realTokens(), seconds);
        progress.step(state.step(), measured.loss(), interval.tokensPerSecond());
        if (due(config.logEvery())) {
          log(metrics, interval, measured, rate);
          interval = new Interval();
        }
        boolean best = evaluateIfDue(metrics, stop);
        if (best || due(config.checkpointEvery())) {
          save();
        }
        if (batch.position().epoch() > 0) {
          train.reportOnce().ifPresent(progress::message);
        }
      }
    }
  }

  /** Whether there was an evaluation and it is the best so far. */
  private boolean evaluateIfDue(MetricsLog metrics, StopSignal stop) {
    if (!due(config.evaluateEvery()) && state.step() != config.steps()) {
      return false;
    }
    Optional<Evaluation> evaluation = evaluate(stop);
    evaluation.ifPresent(
        result -> {
          state = state.withEvaluation(result);
          metrics.validation(state.step(), result);
          progress.message(describe(state.step(), result));
          plot(metrics);
        });
    return evaluation.isPresent() && state.standsAtBest();
  }

  private boolean evaluateFirst(MetricsLog metrics, StopSignal stop) {
    Optional<Evaluation> before = evaluate(stop);
    before.ifPresent(
        result -> {
          state = TrainingState.start(result);
          metrics.validation(0, result);
          validation.reportOnce().ifPresent(progress::message);
          progress.message(describe(0, result));
          save();
        });
    return before.isPresent();
  }

  private Optional<Evaluation> evaluate(StopSignal stop) {
    return evaluator.evaluate(session, validation, config.evaluationBatches(), stop::requested);
  }

  private boolean due(long every) {
    return every > 0 && state.step() % every == 0;
  }

  private void save() {
    run.save(state, config.keepCheckpoints(), prefix -> store.save(session, prefix));
    savedStep = state.step();
  }

  private void log(MetricsLog metrics, Interval interval, TrainingStep.Measured last, double rate) {
    double speed = interval.tokensPerSecond();
    metrics.training(state.step(), interval.loss(), rate, last.gradientNorm(), speed);
    double left = (config.steps() - state.step()) * interval.secondsPerStep();
    progress.interval(state.step(), interval.loss(), speed, left);
  }

  private void requireFinite(TrainingStep.Measured measured, double rate) {
    if (!measured.isFinite()) {
      throw new PerformerException(
          String.format(
              Locale.ROOT,
              "training diverged at step %d: loss %s, gradient norm %s; the last good checkpoint is"
                  + " %s; lower the learning rate (now %.3g) and resume",
              state.step() + 1,
              measured.loss(),
              measured.gradientNorm(),
              directory.resolve("checkpoints").resolve("step-" + savedStep),
              rate));
    }
  }

  private static AdamW optimizer(LanguageModel model, LossGraph loss, TrainingConfig config) {
    try {
      return AdamW.build(model.graph(), loss.loss(), model.variables(), config.optimizer());
    } catch (TensorFlowException | IllegalArgumentException e) {
      throw new PerformerException("the model cannot be trained: " + NativeErrors.firstLine(e), e);
    }
  }

  private void restoreOrInitialize(AdamW optimizer, Optional<Path> moments) {
    model.initializer().accept(session);
    optimizer.initializer().accept(session);
    moments.ifPresent(
        prefix ->
            SaveRestore.of(Ops.create(model.graph()).withSubScope("moments"), optimizer.slots())
                .restore(session, prefix));
    run.newest(progress::message)
        .ifPresent(
            checkpoint -> {
              store.restore(session, checkpoint.prefix());
              state = checkpoint.state();
              savedStep = state.step();
              progress.message("resumed at step " + savedStep);
            });
  }

  private void compareConfig(ObjectNode now) {
    run.config()
        .ifPresent(
            was -> {
              List<String> changed = ResolvedConfig.changes(was, now, directory);
              if (!changed.isEmpty()) {
                progress.message("resumed with other settings: " + String.join(", ", changed));
              }
            });
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
    return step.optimizer().unused().stream().map(Variable::name).toList();
  }

  /** A picture is no reason to lose a run. */
  private void plot(MetricsLog metrics) {
    try {
      LossPlot.write(run.lossPlot(), metrics.entries());
    } catch (RuntimeException | LinkageError | InternalError e) {
      progress.message("no loss.png: " + NativeErrors.firstLine(e));
    }
  }

  private TrainingResult result() {
    return new TrainingResult(
        state.before(),
        state.latest(),
        state.best(),
        state.bestStep(),
        state.step(),
        state.step() >= config.steps(),
        state.tokens(),
        state.seconds(),
        state.seconds() == 0 ? 0 : state.tokens() / state.seconds(),
        directory.resolve("checkpoints").resolve("step-" + state.step()),
        unusedNames());
  }

  private static String describe(long step, Evaluation e) {
    return String.format(
        Locale.ROOT,
        "step %d  validation perplexity %.3f  accuracy %.1f %%",
        step,
        e.perplexity(),
        100 * e.accuracy());
  }

  private static void requireSequences(SequenceSource source) {
    try (SequenceStream stream = source.open()) {
      if (!stream.hasNext()) {
        throw new PerformerException(source.name() + " holds no sequence");
      }
    }
  }

  /** Means over the steps since the last line of metrics. */
  private static final class Interval {
    private double entropy;
    private double guesses;
    private long tokens;
    private double seconds;
    private long steps;

    void add(TrainingStep.Measured measured, long moreTokens, double moreSeconds) {
      entropy += measured.loss() * measured.guesses();
      guesses += measured.guesses();
      tokens += moreTokens;
      seconds += moreSeconds;
      steps++;
    }

    double loss() {
      return guesses == 0 ? 0 : entropy / guesses;
    }

    double tokensPerSecond() {
      return seconds == 0 ? 0 : tokens / seconds;
    }

    double secondsPerStep() {
      return steps == 0 ? 0 : seconds / steps;
    }
  }
}
