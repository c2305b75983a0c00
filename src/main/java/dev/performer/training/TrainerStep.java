package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.graph.XlaFunction;
import dev.performer.training.optim.OptimizerOps;
import dev.performer.training.run.StepMeasures;
import java.util.List;
import java.util.SplittableRandom;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * One optimizer step: new projections where they are due, gradients of the batches, the update.
 *
 * @param fixed how many rows every batch is filled up to, at weight 0; null to leave them as they
 *     are
 */
public record TrainerStep(Trainable model, OptimizerOps optimizer, long seed, BatchSize fixed) {

  public TrainerStep(Trainable model, OptimizerOps optimizer, long seed) {
    this(model, optimizer, seed, null);
  }

  /**
   * Adds gradients and update to a model's graph, compiled if so configured.
   *
   * @throws PerformerException if the model cannot be trained, or not be compiled
   */
  public static TrainerStep of(Trainable model, LoopOptions options) {
    OptimizerOps optimizer = optimizer(model, options);
    if (!options.xla()) {
      return new TrainerStep(model, optimizer, options.seed());
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

  /**
   * Takes a step.
   *
   * @param step its number, from 0
   * @param batches one, or as many as are accumulated
   * @throws NotFinite if loss or gradient is not finite
   */
  public StepMeasures run(Session session, List<LabelledBatch> batches, long step, double rate) {
    redraw(session, step);
    double[] sums = new double[4];
    long tokens = 0;
    for (int i = 0; i < batches.size(); i++) {
      boolean single = optimizer.accumulate() == null;
      double[] own = forward(session, batches.get(i), step, i, single, rate);
      for (int j = 0; j < own.length; j++) {
        sums[j] += own[j];
      }
      tokens += batches.get(i).realTokens();
    }
    double norm = optimizer.accumulate() == null ? sums[3] : update(session, rate, batches.get(0));
    if (!Double.isFinite(sums[0]) || !Double.isFinite(norm)) {
      throw new NotFinite(null);
    }
    return new StepMeasures(sums[0], sums[1], sums[2], norm, tokens);
  }

  private double[] forward(
      Session session, LabelledBatch batch, long step, int part, boolean updates, double rate) {
    try (Feed feed = feed(batch, step, part)) {
      Session.Runner runner = session.runner();
      if (updates) {
        feed.scalar(optimizer.learningRate(), rate);
        runner.addTarget(optimizer.update()).fetch(model.sums()).fetch(optimizer.gradientNorm());
      } else {
        runner.addTarget(optimizer.accumulate()).fetch(model.sums());
      }
      feed.into(runner);
      try (Result result = runner.run()) {
        double[] sums = Tensors.doubles(result.get(0));
        double norm = updates ? Tensors.doubles(result.get(1))[0] : 0;
        return new double[] {sums[0], sums[1], sums[2], norm};
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw failure(e, batch);
      }
    }
  }

  private double update(Session session, double rate, LabelledBatch batch) {
    try (Feed feed = new Feed()) {
      feed.scalar(optimizer.learningRate(), rate);
      Session.Runner runner = session.runner();
      feed.into(runner);
      runner.addTarget(optimizer.update()).fetch(optimizer.gradientNorm());
      try (Result result = runner.run()) {
        return Tensors.doubles(result.get(0))[0];
      } catch (TensorFlowException | IllegalArgumentException e) {
        throw failure(e, batch);
      }
    }
  }

  /** The tensors of a batch, with the seed of its dropout. */
  Feed feed(LabelledBatch batch, long step, int part) {
    int rows = fixed == null ? 0 : fixed.rows(batch.length());
    Feed feed = model.feed().of(rows > batch.rows() ? batch.repeatedTo(rows) : batch);
    model
        .dropoutSeed()
        .ifPresent(
            placeholder ->
                feed.put(
                    placeholder, Tensors.of(new long[] {seed + ((long) part << 40), step}, 2)));
    return feed;
  }

  private static RuntimeException failure(RuntimeException e, LabelledBatch batch) {
    boolean notFinite = String.valueOf(e.getMessage()).contains(OptimizerOps.NOT_FINITE);
    if (notFinite) {
      return new NotFinite(e);
    }
    RuntimeException explained = XlaFunction.explain(e);
    return explained != e ? explained : batch.failed("a training step", e);
  }

  private void redraw(Session session, long step) {
    if (step == 0 || model.redrawSeed().isEmpty()) {
      return;
    }
    for (var entry : model.redraws().entrySet()) {
      if (step % entry.getKey() == 0) {
        int mixed = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + step).nextInt();
        try (Tensor pair = Tensors.of(new int[] {mixed, (int) step}, 2)) {
          Session.Runner runner = session.runner().feed(model.redrawSeed().get(), pair);
          for (Op op : entry.getValue()) {
            runner.addTarget(op);
          }
          runner.run().close();
        }
      }
    }
  }
}
