package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.data.TokenBatch;
import dev.performer.data.TokenRowBatches;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.op.Ops;

/**
 * Knowledge distillation: a student that attends by FAVOR+ learns, layer by layer, to compute what
 * the same model computes with exact attention. The loop, the run directory and resuming are those
 * of {@link FineTuner}.
 *
 * <p>Owns graph, session and the run directory's lock. After {@link #run} the session holds the
 * student's weights.
 */
public final class Distiller implements AutoCloseable {
  private final DistillData data;
  private final DistillRecipe recipe;
  private final Path directory;
  private final Progress progress;
  private final RunDirectory run;
  private final DistillGraph graph;
  private final AdamW optimizer;
  private final DistillEvaluator evaluator;
  private final SaveRestore store;
  private final Session session;
  private final TokenRowBatches batches;

  private TrainingState state;
  private DistillEvaluation before;
  private DistillEvaluation best;
  private long savedStep = -1;

  /**
   * Opens a run.
   *
   * @param directory new or empty, or that of the run to go on with
   * @param resume whether to go on from its newest whole checkpoint
   * @throws PerformerException if directory, data or models will not do
   */
  public static Distiller open(
      DistillModels models,
      DistillData data,
      DistillRecipe recipe,
      Path directory,
      boolean resume,
      Progress progress) {
    RunDirectory run = RunDirectory.open(directory, resume);
    DistillGraph graph = null;
    try {
      graph = new DistillGraph(models, recipe);
      return new Distiller(models, data, recipe, directory, run, graph, progress);
    } catch (RuntimeException e) {
      if (graph != null) {
        graph.close();
      }
      run.close();
      throw e;
    }
  }

  private Distiller(
      DistillModels models,
      DistillData data,
      DistillRecipe recipe,
      Path directory,
      RunDirectory run,
      DistillGraph graph,
      Progress progress) {
    this.data = data;
    this.recipe = recipe;
    this.directory = directory;
    this.progress = progress;
    this.run = run;
    this.graph = graph;
    DistillRecipe.Training training = recipe.training();
    batches =
        new TokenRowBatches(
            data.train(), data.pad(), training.batchTokens(), data.paddedLength(), training.seed());
    ObjectNode config = config(models);
    requireSame(config);
    optimizer = optimizer();
    evaluator = DistillEvaluator.of(graph, data, recipe);
    List<Variable> saved = new ArrayList<>(graph.student());
    saved.addAll(optimizer.slots());
    store = SaveRestore.of(Ops.create(graph.graph()).withSubScope("training"), saved);
    session = new Session(graph.graph(), false);
    try {
      graph.initialize(session);
      optimizer.initializer().accept(session);
      run.newest(progress::message).ifPresent(this::restore);
      run.writeConfig(config);
    } catch (RuntimeException e) {
      session.close();
      throw e;
    }
  }

  /** The weights as they are; valid until {@link #close}. */
  public Session session() {
    return session;
  }

  /** The student's variables, with their keys in the SavedModel that it came from. */
  public List<Variable> student() {
    return graph.student();
  }

  /**
   * Trains to the last step, the target, or Ctrl-C.
   *
   * @throws PerformerException if loss or gradient is no longer finite, or the disk is full; the
   *     checkpoints are good
   */
  public DistillResult run() {
    try (StopSignal stop = new StopSignal();
        MetricsLog metrics = MetricsLog.open(run.metrics(), state == null ? -1 : state.step())) {
      if (state == null) {
        start(metrics, stop);
      } else {
        before = evaluation(metrics, 0);
        best = evaluation(metrics, state.bestStep());
      }
      plot(metrics);
      progress.start(state.step(), steps());
      train(metrics, stop);
      if (savedStep != state.step()) {
        save();
      }
      plot(metrics);
      boolean finished = state.step() >= steps() || isReached();
      if (!finished) {
        progress.message("stopped after step " + state.step() + "; the run can be resumed");
      }
      return new DistillResult(
          before,
          best,
          state.bestStep(),
          state.step(),
          finished,
          isReached(),
          state.tokens(),
          state.seconds());
    } finally {
      progress.close();
    }
  }

  /** Puts the weights of the best evaluation into the session. */
  public void restoreBest() {
    store.restore(session, run.at(state.bestStep()).prefix());
  }

  /**
   * The student's states of sequences, {@code [B, L, E]}, or logits {@code [B, L, V]} if it has
   * them.
   */
  public float[] outputs(TokenBatch batch) {
    try (DistillFeed feed = plainFeed(batch)) {
      Session.Runner runner = session.runner();
      feed.into(runner);
      try (Result result = runner.fetch(graph.studentOutput()).run()) {
        return Tensors.floats(result.get(0));
      }
    }
  }

  @Override
  public void close() {
    try {
      session.close();
      graph.close();
    } finally {
      run.close();
    }
  }

  private DistillFeed plainFeed(TokenBatch batch) {
    DistillData plain =
        new DistillData(
            data.train(), data.validation(), data.pad(), data.paddedLength(), Optional.empty());
    return DistillFeed.of(graph, plain, batch, 0, 0);
  }

  private long steps() {
    return recipe.training().steps();
  }

  private boolean isReached() {
    Double target = recipe.evaluation().target();
    return target != null && best.reached() >= target;
  }

  private void start(MetricsLog metrics, StopSignal stop) {
    before =
        evaluator
            .evaluate(session, stop::requested)
            .orElseThrow(
                () -> new PerformerException("stopped before the first step; nothing was trained"));
    if (!before.isFinite()) {
      throw new PerformerException(
          "the student computes numbers that are not finite before training; check the conversion");
    }
    best = before;
    state = TrainingState.start(asEvaluation(before));
    metrics.validation(0, before);
    progress.message(describe(0, before));
    save();
  }

  private void train(MetricsLog metrics, StopSignal stop) {
    double lossSum = 0;
    double seconds = 0;
    long tokens = 0;
    long counted = 0;
    while (state.step() < steps() && !isReached() && !stop.requested()) {
      long start = System.nanoTime();
      TokenBatch batch = batches.at(state.position());
      double rate = recipe.training().schedule().at(state.step(), steps());
      double[] measured = step(batch, rate);
      requireFinite(measured, rate);
      double took = (System.nanoTime() - start) / 1e9;
      state = state.afterStep(batch.position().next(), batch.realTokens(), took);
      lossSum += measured[0];
      seconds += took;
      tokens += batch.realTokens();
      counted++;
      progress.step(state.step(), measured[0], tokens / seconds);
      if (state.step() % recipe.training().logEvery() == 0) {
        double loss = lossSum / counted;
        metrics.training(state.step(), loss, rate, measured[1], tokens / seconds);
        progress.interval(
            state.step(), loss, tokens / seconds, (steps() - state.step()) * seconds / counted);
        lossSum = 0;
        seconds = 0;
        tokens = 0;
        counted = 0;
      }
      boolean isBest = evaluateIfDue(metrics, stop);
      if (isBest || due(recipe.training().checkpointEvery())) {
        save();
      }
    }
  }

  /** Loss and norm of the gradient, before the update. */
  private double[] step(TokenBatch batch, double rate) {
    long seed = recipe.training().seed();
    try (DistillFeed feed = DistillFeed.of(graph, data, batch, seed, state.step())) {
      feed.scalar(optimizer.learningRate(), rate);
      Session.Runner runner = session.runner();
      feed.into(runner);
      runner.addTarget(optimizer.update());
      try (Result result =
          runner.fetch(graph.loss().loss()).fetch(optimizer.gradientNorm()).run()) {
        return new double[] {Tensors.floats(result.get(0))[0], Tensors.doubles(result.get(1))[0]};
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw DistillEvaluator.ofRun("a training step", batch, e);
      }
    }
  }

  /** Whether there was an evaluation and it is the best so far. */
  private boolean evaluateIfDue(MetricsLog metrics, StopSignal stop) {
    if (!due(recipe.evaluation().every()) && state.step() != steps()) {
      return false;
    }
    Optional<DistillEvaluation> now = evaluator.evaluate(session, stop::requested);
    now.ifPresent(
        result -> {
          state = state.withEvaluation(asEvaluation(result));
          best = state.standsAtBest() ? result : best;
          metrics.validation(state.step(), result);
          progress.message(describe(state.step(), result));
          plot(metrics);
        });
    return now.isPresent() && state.standsAtBest();
  }

  private boolean due(long every) {
    return every > 0 && state.step() % every == 0;
  }

  private void save() {
    run.save(state, recipe.training().keepCheckpoints(), prefix -> store.save(session, prefix));
    savedStep = state.step();
  }

  private void restore(Checkpoint checkpoint) {
    store.restore(session, checkpoint.prefix());
    state = checkpoint.state();
    savedStep = state.step();
    progress.message("resumed at step " + savedStep);
  }

  /** The part of it that decides which checkpoint is the best. */
  private static Evaluation asEvaluation(DistillEvaluation e) {
    return new Evaluation(
        e.distance(), e.reached(), Math.exp(e.distance()), 0, e.sequences(), e.seconds());
  }

  private DistillEvaluation evaluation(MetricsLog metrics, long step) {
    for (JsonNode entry : metrics.entries()) {
      if (entry.path("kind").asText().equals("validation") && entry.path("step").asLong() == step) {
        ObjectNode values = entry.deepCopy();
        values.remove(List.of("kind", "step"));
        return StrictJson.bind(values, DistillEvaluation.class, run.metrics().toString());
      }
    }
    throw new PerformerException(
        run.metrics() + ": has no evaluation of step " + step + ", so the run cannot be resumed");
  }

  private AdamW optimizer() {
    try {
      return AdamW.build(
          graph.graph(), graph.loss().loss(), graph.student(), recipe.training().optimizer());
    } catch (TensorFlowException | IllegalArgumentException e) {
      throw new PerformerException(
          "the student cannot be trained: " + NativeErrors.firstLine(e), e);
    }
  }

  private ObjectNode config(DistillModels models) {
    ObjectNode config = recipe.toJson().deepCopy();
    config.put("format", 1);
    config.put("student", models.studentPath().toString());
    config.put("teacher", models.teacherPath().toString());
    config.put("train", data.train().name());
    config.put("validation", data.validation().name());
    return config;
  }

  /** The rest of a run must belong to its beginning. */
  private void requireSame(ObjectNode now) {
    run.config()
        .ifPresent(
            was -> {
              for (String key : List.of("data", "loss", "student", "teacher", "train")) {
                if (!was.path(key).toString().equals(now.path(key).toString())) {
                  throw new PerformerException(
                      "cannot resume %s: %s was %s and is now %s; resume with the same, or start in another directory"
                          .formatted(directory, key, was.path(key), now.path(key)));
                }
              }
            });
  }

  private void requireFinite(double[] measured, double rate) {
    if (!Double.isFinite(measured[0]) || !Double.isFinite(measured[1])) {
      throw new PerformerException(
          String.format(
              Locale.ROOT,
              "training diverged at step %d: loss %s, gradient norm %s; the last good checkpoint is"
                  + " %s; lower training.learningRate (now %.3g) and resume",
              state.step() + 1,
              measured[0],
              measured[1],
              directory.resolve("checkpoints").resolve("step-" + savedStep),
              rate));
    }
  }

  /** A picture is no reason to lose a run. */
  private void plot(MetricsLog metrics) {
    try {
      LossPlot.write(
          run.lossPlot(),
          metrics.entries(),
          "distillation loss",
          "cosine",
          "cosine of embeddings to the teacher's");
    } catch (RuntimeException | LinkageError | InternalError e) {
      progress.message("no loss.png: " + NativeErrors.firstLine(e));
    }
  }

  private static String describe(long step, DistillEvaluation e) {
    String text =
        String.format(
            Locale.ROOT,
            "step %d  cosine to the teacher %.4f (lowest %.3f)  hidden %.3f  attention %.3f",
            step,
            e.cosine(),
            e.lowestCosine(),
            e.hidden(),
            e.attention());
    return e.accuracy() == null
        ? text
        : text
            + String.format(
                Locale.ROOT,
                "  divergence %.4f  accuracy %.2f %% of %.2f %%",
                e.divergence(),
                100 * e.accuracy(),
                100 * e.teacherAccuracy());
  }
}
