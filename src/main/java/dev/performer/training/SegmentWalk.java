package dev.performer.training;

import dev.performer.graph.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import java.util.function.UnaryOperator;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * Walks over the segments of a batch: forward for the states between them, which alone are kept,
 * and back for gradients, each segment computed once more from the state before it. Owns the states
 * while it walks.
 *
 * @param seam where segments meet
 * @param sums over a segment
 * @param accumulate adds a segment's gradients to those of the step; null in evaluation
 * @param arriving placeholders of the gradients of the states behind a segment; empty to go forward
 *     only
 * @param leaving gradients of the states before a segment
 */
record SegmentWalk(
    SegmentGraph.Seam seam,
    Output<TFloat64> sums,
    Op accumulate,
    List<Output<TFloat32>> arriving,
    List<Output<TFloat32>> leaving) {
  /** For the sums alone. */
  static SegmentWalk evaluating(Trainable model) {
    SegmentGraph.Seam seam = model.segments().orElseThrow().evaluation();
    return new SegmentWalk(seam, model.evaluation(), null, List.of(), List.of());
  }

  /** The same with a segment's computations as compiled functions. */
  SegmentWalk compiled(Ops tf, UnaryOperator<List<Output<?>>> compiler) {
    Ops added = tf.withControlDependencies(List.of(accumulate));
    List<Output<?>> all = new ArrayList<>(List.of(added.identity(sums).asOutput()));
    all.addAll(leaving);
    List<Output<?>> made = compiler.apply(all);
    List<Output<TFloat32>> gradients = new ArrayList<>();
    made.subList(1, made.size()).forEach(g -> gradients.add(g.expect(TFloat32.class)));
    List<Output<TFloat32>> after = new ArrayList<>();
    compiler.apply(List.copyOf(seam.after())).forEach(s -> after.add(s.expect(TFloat32.class)));
    var own = new SegmentGraph.Seam(seam.before(), after, seam.carry());
    return new SegmentWalk(
        own, made.get(0).expect(TFloat64.class), made.get(0), arriving, gradients);
  }

  /** Walks. @param feed of a segment by its number @return the sums over all */
  double[] over(Session session, List<LabelledBatch> segments, IntFunction<Feed> feed) {
    int rows = segments.get(0).rows();
    int count = segments.size();
    return arriving.isEmpty()
        ? forward(session, rows, count, feed)
        : back(session, rows, count, feed);
  }

  private double[] forward(Session session, int rows, int count, IntFunction<Feed> feeds) {
    double[] total = new double[3];
    Result states = null;
    try (Zeros zeros = Zeros.like(seam.before(), rows)) {
      for (int i = 0; i < count; i++) {
        Session.Runner runner = session.runner().fetch(sums);
        seam.after().forEach(runner::fetch);
        if (accumulate != null) {
          runner.addTarget(accumulate);
        }
        if (i == count - 1) {
          seam.carry().ifPresent(runner::addTarget);
        }
        if (i > 0) {
          feed(runner, seam.before(), values(states, 1));
        } else if (seam.carry().isEmpty()) {
          feed(runner, seam.before(), zeros.all());
        }
        Result next = run(runner, feeds.apply(i));
        close(states);
        states = next;
        add(total, states);
      }
      return total;
    } finally {
      close(states);
    }
  }

  private double[] back(Session session, int rows, int count, IntFunction<Feed> feeds) {
    double[] total = new double[3];
    List<Result> states = new ArrayList<>(); // before each segment but the first
    Result gradients = null;
    // Every run feeds and fetches the same, as TensorFlow prepares each other one at length.
    try (Zeros zeros = Zeros.like(seam.before(), rows)) {
      for (int i = 0; i < count - 1; i++) {
        Session.Runner runner = session.runner();
        seam.after().forEach(runner::fetch);
        feed(runner, seam.before(), i == 0 ? zeros.all() : values(states.get(i - 1), 0));
        states.add(run(runner, feeds.apply(i)));
      }
      for (int i = count - 1; i >= 0; i--) {
        Session.Runner runner = session.runner().addTarget(accumulate).fetch(sums);
        leaving.forEach(runner::fetch);
        feed(runner, seam.before(), i == 0 ? zeros.all() : values(states.get(i - 1), 0));
        feed(runner, arriving, gradients == null ? zeros.all() : values(gradients, 1));
        Result next = run(runner, feeds.apply(i));
        close(gradients);
        gradients = next;
        add(total, gradients);
        if (i > 0) {
          states.remove(i - 1).close();
        }
      }
      return total;
    } finally {
      close(gradients);
      states.forEach(Result::close);
    }
  }

  private static List<Tensor> values(Result result, int from) {
    List<Tensor> values = new ArrayList<>();
    for (int i = from; i < result.size(); i++) {
      values.add(result.get(i));
    }
    return values;
  }

  /** States before any token. */
  private record Zeros(List<Tensor> all) implements AutoCloseable {
    static Zeros like(List<Output<TFloat32>> states, int rows) {
      List<Tensor> all = new ArrayList<>();
      for (Output<TFloat32> state : states) {
        Shape shape = Shape.of(rows).append(state.shape().tail());
        all.add(Tensors.of(new float[(int) shape.size()], shape.asArray()));
      }
      return new Zeros(all);
    }

    @Override
    public void close() {
      all.forEach(Tensor::close);
    }
  }

  private static void feed(Session.Runner runner, List<Output<TFloat32>> at, List<Tensor> values) {
    for (int i = 0; i < at.size(); i++) {
      runner.feed(at.get(i), values.get(i));
    }
  }

  private static Result run(Session.Runner runner, Feed feed) {
    try (feed) {
      return feed.into(runner).run();
    }
  }

  private static void add(double[] total, Result result) {
    double[] own = Tensors.doubles(result.get(0));
    for (int i = 0; i < total.length; i++) {
      total[i] += own[i];
    }
  }

  private static void close(Result result) {
    if (result != null) {
      result.close();
    }
  }
}
