package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.attention.MachineTuning;
import dev.performer.data.BatchSize;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.XlaFunction;
import dev.performer.savedmodel.Lora;
import dev.performer.training.optim.Gradients;
import dev.performer.training.optim.OptimizerOps;
import dev.performer.training.run.Checkpoint.Interval;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.RunMetadata;
import org.tensorflow.proto.RunOptions;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * One optimizer step: new projections where they are due, gradients of the batches, the update.
 *
 * @param sums over a batch, as those of the model
 * @param fixed rows that every batch is filled up to, at weight 0; null for as many as it has
 * @param walk over the segments of a batch; null where it is computed at once
 */
public record TrainerStep(
    Trainable model,
    Output<TFloat64> sums,
    OptimizerOps optimizer,
    long seed,
    BatchSize fixed,
    SegmentWalk walk) {
  /** Adds gradients and update to a model's graph, compiled if so configured. */
  public static TrainerStep of(Trainable model, LoopOptions options) {
    OptimizerOps optimizer = optimizer(model, options);
    var walk = model.segments().map(segments -> walk(model, segments, optimizer)).orElse(null);
    var step = new TrainerStep(model, model.sums(), optimizer, options.seed(), null, walk);
    return options.xla() ? step.compiled(options.batch()) : step;
  }

  private static SegmentWalk walk(Trainable model, SegmentGraph segments, OptimizerOps optimizer) {
    List<Output<TFloat32>> leaving = new ArrayList<>();
    optimizer.gradients().ofInputs().forEach(g -> leaving.add(g.expect(TFloat32.class)));
    return new SegmentWalk(
        segments.training(), model.sums(), optimizer.accumulate(), segments.arriving(), leaving);
  }

  /** A session for a graph whose step may be compiled. */
  public static Session session(Graph graph, boolean xla) {
    MachineTuning.settleThreads();
    return xla ? new Session(graph, false, XlaFunction.sessionConfig()) : new Session(graph, false);
  }

  /** The optimizer's ops in a model's graph. @throws PerformerException if it cannot be trained */
  static OptimizerOps optimizer(Trainable model, LoopOptions options) {
    boolean isAdapted = model.variables().stream().anyMatch(Lora::isFactor);
    String text = "training option lora: only imported models are adapted; fine-tune an export";
    PerformerException.require(options.lora() == null || isAdapted, text);
    boolean hasForm =
        switch (options.memory()) {
          case PLAIN -> true;
          case RECOMPUTE -> !model.parts().isEmpty();
          case SEGMENTS -> model.segments().isPresent();
        };
    text = "training option memory: %s: this graph was made for another one";
    PerformerException.require(hasForm, text, options.memory().label());
    Ops tf = Ops.create(model.graph()).withSubScope("batch");
    var guesses =
        tf.dtypes.cast(tf.gather(model.sums(), tf.constant(2), tf.constant(0)), TFloat32.class);
    boolean isCut = model.segments().isPresent();
    var states = model.segments().filter(s -> !s.arriving().isEmpty());
    var minimized =
        new OptimizerOps.Minimized(
            model.loss(),
            options.accumulate() == 1 && !isCut ? null : guesses,
            isCut,
            states.map(s -> s.training().before()).orElse(List.of()),
            model.parts());
    try {
      return OptimizerOps.build(
          model.graph(),
          minimized,
          model.variables(),
          options.groups(),
          model.averages().orElse(null),
          options.optimizer(),
          options.clipNorm());
    } catch (TensorFlowException | IllegalArgumentException e) {
      throw new PerformerException("the model cannot be trained: " + NativeErrors.firstLine(e), e);
    }
  }

  /**
   * This step compiled by XLA, as two functions: from the batch to gradients and their norm, and
   * from there to the new weights, slots and averages. Between them it is seen whether the norm is
   * finite, which XLA itself cannot see, so that a step that is not changes nothing. Evaluation,
   * diagnostics and redraws are run op by op. An error names what XLA cannot compile.
   */
  TrainerStep compiled(BatchSize rows) {
    OptimizerOps.Seam seam = optimizer.seam();
    List<Variable> variables = new ArrayList<>(model.variables());
    model.averages().ifPresent(averages -> variables.addAll(averages.averages().values()));
    variables.addAll(optimizer.slots());
    variables.addAll(optimizer.sums());
    Ops tf = Ops.create(model.graph()).withSubScope("compiled");
    List<Output<?>> computed = new ArrayList<>(seam.gradients());
    computed.add(seam.norm());
    Output<?> added = null;
    SegmentWalk steps = walk;
    if (walk != null) {
      steps = walk.compiled(tf, some -> compiled(tf, some, variables));
      added = steps.sums();
    } else if (optimizer.accumulate() == null) {
      computed.add(sums);
    } else {
      var after = tf.withControlDependencies(List.of(optimizer.accumulate()));
      added = compiled(tf, List.of(after.identity(sums).asOutput()), variables).get(0);
    }
    List<Output<?>> found = compiled(tf, computed, variables);
    Output<?> summed = added != null ? added : found.get(computed.size() - 1);
    int count = seam.gradients().size();
    Output<?> rate = optimizer.learningRate().asOutput();
    List<Output<?>> inside = new ArrayList<>(seam.gradients());
    inside.addAll(List.of(seam.finiteNorm(), rate));
    Ops updated = tf.withControlDependencies(List.of(optimizer.update()));
    Output<?> done = updated.identity(seam.finiteNorm()).asOutput();
    Output<TFloat64> norm = found.get(count).expect(TFloat64.class);
    List<Output<?>> outside = new ArrayList<>(found.subList(0, count));
    outside.add(tf.debugging.checkNumerics(norm, OptimizerOps.NOT_FINITE).asOutput());
    outside.add(rate);
    var last = XlaFunction.cut(tf, inside, outside, List.of(done), variables).get(0);
    var ops = optimizer.compiled(last.expect(TFloat64.class), added);
    return new TrainerStep(model, summed.expect(TFloat64.class), ops, seed, rows, steps);
  }

  /** Compiles from what has to be fed for these outputs, control dependencies considered. */
  private static List<Output<?>> compiled(
      Ops tf, List<? extends Output<?>> outputs, List<Variable> variables) {
    List<Output<?>> inputs = new ArrayList<>();
    for (var operation : Gradients.ancestors(outputs, true).values()) {
      if (operation.type().startsWith("Placeholder")) {
        inputs.add(operation.output(0));
      }
    }
    return XlaFunction.cut(tf, inputs, inputs, outputs, variables);
  }

  /** A step whose gradient is not finite; no variable has changed. */
  static final class NotFinite extends RuntimeException {
    private static final long serialVersionUID = 1;

    NotFinite(Throwable cause) {
      super(cause);
    }
  }

  /** Takes a step, from 0, with one batch, or as many as are accumulated. @throws NotFinite */
  public Interval run(Session session, List<LabelledBatch> batches, long step, double rate) {
    redraw(session, step);
    boolean single = optimizer.accumulate() == null;
    double[] total = new double[4]; // of the sums, and the norm
    long tokens = 0;
    for (int part = 0; part < batches.size(); part++) {
      LabelledBatch batch = batches.get(part);
      double[] own =
          walk != null
              ? walk(session, batch, step, part)
              : single
                  ? update(
                      session, feed(batch, step, part), rate, batch, sums, optimizer.gradientNorm())
                  : run(session, feed(batch, step, part), batch, optimizer.accumulate(), sums);
      for (int i = 0; i < own.length; i++) {
        total[i] += own[i];
      }
      tokens += batch.realTokens();
    }
    if (!single) {
      total[3] = update(session, new Feed(), rate, batches.get(0), optimizer.gradientNorm())[0];
    }
    if (!Double.isFinite(total[0]) || !Double.isFinite(total[3])) {
      throw new NotFinite(null);
    }
    return new Interval(total[0], total[1], total[2], total[3], tokens, 0, 1);
  }

  /** Adds the gradients of a batch, segment by segment. */
  private double[] walk(Session session, LabelledBatch batch, long step, int part) {
    var segments = model.segments().orElseThrow().split(filled(batch));
    try {
      return walk.over(session, segments, i -> feed(segments.get(i), step, part, i));
    } catch (TensorFlowException | IllegalArgumentException e) {
      RuntimeException explained = XlaFunction.explain(e);
      throw explained != e ? explained : batch.failed("a training step", e);
    }
  }

  /** A step with one batch, for TensorFlow's trace of where its time goes. */
  public RunMetadata traced(Session session, LabelledBatch batch, long step, double rate) {
    RunOptions options =
        RunOptions.newBuilder().setTraceLevel(RunOptions.TraceLevel.FULL_TRACE).build();
    try (Feed feed = feed(batch, step, 0)) {
      feed.put(optimizer.learningRate(), TFloat64.scalarOf(rate));
      Session.Runner runner = feed.into(session.runner().addTarget(optimizer.update()));
      runner.fetch(sums).fetch(optimizer.gradientNorm()).setOptions(options);
      try (Result result = runner.runAndFetchMetadata()) {
        return result.getMetadata().orElseThrow();
      }
    }
  }

  private double[] update(
      Session session, Feed feed, double rate, LabelledBatch batch, Output<?>... fetched) {
    feed.put(optimizer.learningRate(), TFloat64.scalarOf(rate));
    return run(session, feed, batch, optimizer.update(), fetched);
  }

  /** Closes the feed. */
  private static double[] run(
      Session session, Feed feed, LabelledBatch batch, Op target, Output<?>... fetched) {
    try (feed) {
      Session.Runner runner = feed.into(session.runner().addTarget(target));
      List.of(fetched).forEach(runner::fetch);
      try (Result result = runner.run()) {
        return IntStream.range(0, fetched.length)
            .mapToObj(i -> Tensors.doubles(result.get(i)))
            .flatMapToDouble(DoubleStream::of)
            .toArray();
      }
    } catch (TensorFlowException | IllegalArgumentException e) {
      if (String.valueOf(e.getMessage()).contains(OptimizerOps.NOT_FINITE)) {
        throw new NotFinite(e);
      }
      RuntimeException explained = XlaFunction.explain(e);
      throw explained != e ? explained : batch.failed("a training step", e);
    }
  }

  /** The tensors of a batch, with the seed of its dropout. */
  Feed feed(LabelledBatch batch, long step, int part) {
    return feed(filled(batch), step, part, 0);
  }

  private Feed feed(LabelledBatch batch, long step, int part, int segment) {
    Feed feed = model.feed().apply(batch);
    long[] dropout = {seed + ((long) part << 40) + ((long) segment << 20), step};
    model.dropoutSeed().ifPresent(input -> feed.put(input, Tensors.of(dropout, 2)));
    return feed;
  }

  private LabelledBatch filled(LabelledBatch batch) {
    int rows = fixed == null ? 0 : fixed.rows(batch.length());
    return rows > batch.rows() ? batch.withRows(rows, true) : batch;
  }

  private void redraw(Session session, long step) {
    for (var entry : model.redraws().entrySet()) {
      if (step > 0 && step % entry.getKey() == 0) {
        int mixed = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + step).nextInt();
        try (var pair = Tensors.of(new int[] {mixed, (int) step}, 2)) {
          Session.Runner runner = session.runner().feed(model.redrawSeed().get(), pair);
          entry.getValue().forEach(runner::addTarget);
          runner.run().close();
        }
      }
    }
  }
}
