package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.graph.XlaFunction;
import dev.performer.training.optim.OptimizerOps;
import dev.performer.training.run.TrainingState.Interval;
import java.util.List;
import java.util.SplittableRandom;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * One optimizer step: new projections where they are due, gradients of the batches, the update.
 *
 * @param fixed rows that every batch is filled up to, at weight 0; null for as many as it has
 */
public record TrainerStep(Trainable model, OptimizerOps optimizer, long seed, BatchSize fixed) {

  /** Adds gradients and update to a model's graph, compiled if so configured. */
  public static TrainerStep of(Trainable model, LoopOptions options) {
    OptimizerOps optimizer = optimizer(model, options);
    if (!options.xla()) {
      return new TrainerStep(model, optimizer, options.seed(), null);
    }
    CompiledStep compiled = CompiledStep.of(model, optimizer);
    return new TrainerStep(compiled.model(), compiled.optimizer(), options.seed(), options.batch());
  }

  /** The optimizer's ops in a model's graph. @throws PerformerException if it cannot be trained */
  static OptimizerOps optimizer(Trainable model, LoopOptions options) {
    Ops tf = Ops.create(model.graph()).withSubScope("batch");
    var guesses =
        tf.dtypes.cast(tf.gather(model.sums(), tf.constant(2), tf.constant(0)), TFloat32.class);
    try {
      return OptimizerOps.build(
          model.graph(),
          model.loss(),
          options.accumulate() == 1 ? null : guesses,
          model.variables(),
          model.averages().orElse(null),
          options.optimizer(),
          options.clipNorm());
    } catch (TensorFlowException | IllegalArgumentException e) {
      throw new PerformerException("the model cannot be trained: " + NativeErrors.firstLine(e), e);
    }
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
    double[] sums = new double[4];
    long tokens = 0;
    for (int i = 0; i < batches.size(); i++) {
      double[] own = forward(session, batches.get(i), step, i, single, rate);
      for (int j = 0; j < own.length; j++) {
        sums[j] += own[j];
      }
      tokens += batches.get(i).realTokens();
    }
    double norm = single ? sums[3] : update(session, rate, batches.get(0));
    if (!Double.isFinite(sums[0]) || !Double.isFinite(norm)) {
      throw new NotFinite(null);
    }
    return new Interval(sums[0], sums[1], sums[2], norm, tokens, 0, 1);
  }

  private double[] forward(
      Session session, LabelledBatch batch, long step, int part, boolean updates, double rate) {
    try (Feed feed = feed(batch, step, part)) {
      if (updates) {
        feed.put(optimizer.learningRate(), TFloat64.scalarOf(rate));
      }
      try (Result result =
          updates
              ? run(
                  session, feed, batch, optimizer.update(), model.sums(), optimizer.gradientNorm())
              : run(session, feed, batch, optimizer.accumulate(), model.sums())) {
        double[] sums = Tensors.doubles(result.get(0));
        double norm = updates ? Tensors.doubles(result.get(1))[0] : 0;
        return new double[] {sums[0], sums[1], sums[2], norm};
      }
    }
  }

  private double update(Session session, double rate, LabelledBatch batch) {
    try (Feed feed = new Feed()) {
      feed.put(optimizer.learningRate(), TFloat64.scalarOf(rate));
      try (Result result =
          run(session, feed, batch, optimizer.update(), optimizer.gradientNorm())) {
        return Tensors.doubles(result.get(0))[0];
      }
    }
  }

  private static Result run(
      Session session, Feed feed, LabelledBatch batch, Op target, Output<?>... fetched) {
    Session.Runner runner = session.runner().addTarget(target);
    feed.into(runner);
    for (Output<?> output : fetched) {
      runner.fetch(output);
    }
    try {
      return runner.run();
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
    int rows = fixed == null ? 0 : fixed.rows(batch.length());
    Feed feed = model.feed().apply(rows > batch.rows() ? batch.repeatedTo(rows) : batch);
    long[] dropout = {seed + ((long) part << 40), step};
    model.dropoutSeed().ifPresent(input -> feed.put(input, Tensors.of(dropout, 2)));
    return feed;
  }

  private void redraw(Session session, long step) {
    if (step == 0 || model.redrawSeed().isEmpty()) {
      return;
    }
    for (var entry : model.redraws().entrySet()) {
      if (step % entry.getKey() == 0) {
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
