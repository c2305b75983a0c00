package dev.performer.training;

import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.CausalSegments;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dropout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The graph of one segment of a batch, and where it is joined to those before and behind it. States
 * are {@code [B, …]}, in one order.
 */
final class SegmentGraph {
  /**
   * Where segments meet.
   *
   * @param before states that enter; where not fed, those of {@link #carried}, or zeros
   * @param after the states behind the segment
   * @param carry keeps those for the next batch; empty where batches begin anew
   */
  record Seam(List<Output<TFloat32>> before, List<Output<TFloat32>> after, Optional<Op> carry) {}

  private final Ops tf;
  private final PerformerConfig config;
  private final LoopOptions loop;
  private final Inputs inputs;
  private final Output<TInt32> positions; // [B, T]
  private final Output<TFloat32> goesOn; // [B], 1 where a row goes on after the batch before
  private final List<Output<TFloat32>> arriving = new ArrayList<>();
  private final List<Variable> carried = new ArrayList<>();
  private Seam training;
  private Seam evaluation;

  SegmentGraph(Ops tf, PerformerConfig config, LoopOptions loop, Inputs inputs) {
    this.tf = tf;
    this.config = config;
    this.loop = loop;
    this.inputs = inputs;
    positions = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1, -1))).asOutput();
    goesOn = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1))).asOutput();
  }

  /** Adds the model as it is trained; evaluated so, too, unless it is added otherwise. */
  Outputs train(Performer model, Variables variables, Dropout drop) {
    var segments = new CausalSegments(tf, model);
    List<Variable> kept = kept(segments, variables, "carried");
    carried.addAll(kept);
    List<Output<TFloat32>> before = before(segments, kept);
    var segment = segments.apply(tf, inputs.tokens(), positions, inputs.mask(), before, drop);
    training = seam(before, segment, kept);
    evaluation = training;
    return segment.outputs();
  }

  /** Adds the model as it is evaluated. */
  Outputs evaluate(Performer model, Variables variables) {
    var segments = new CausalSegments(tf, model);
    List<Variable> kept = kept(segments, variables, "evaluated");
    List<Output<TFloat32>> before = kept.isEmpty() ? training.before : before(segments, kept);
    var segment =
        segments.apply(tf, inputs.tokens(), positions, inputs.mask(), before, Dropout.none());
    evaluation = seam(before, segment, kept);
    return segment.outputs();
  }

  private List<Variable> kept(CausalSegments segments, Variables variables, String name) {
    List<Variable> kept = new ArrayList<>();
    if (loop.truncate()) {
      int rows = loop.batchSequences();
      for (Shape state : segments.states()) {
        Shape shape = Shape.of(rows).append(state.tail());
        var zeros = tf.fill(tf.constant(shape), tf.constant(0f));
        kept.add(variables.create(name + "/" + kept.size(), shape, false, zeros));
      }
    }
    return kept;
  }

  private List<Output<TFloat32>> before(CausalSegments segments, List<Variable> kept) {
    List<Output<TFloat32>> before = new ArrayList<>();
    for (Operand<TFloat32> zeros : segments.zeros(tf, inputs.tokens())) {
      Shape shape = segments.states().get(before.size());
      Operand<TFloat32> first = zeros;
      if (!kept.isEmpty()) {
        var some = tf.reshape(goesOn, tf.array(-1, 1, 1, 1)); // [B, 1, 1, 1]
        first = tf.math.mul(kept.get(before.size()).<TFloat32>read(tf), some);
      }
      before.add(tf.placeholderWithDefault(first, shape).asOutput());
    }
    return before;
  }

  private Seam seam(
      List<Output<TFloat32>> before, CausalSegments.Segment segment, List<Variable> kept) {
    List<Op> assigned = new ArrayList<>();
    for (Variable variable : kept) {
      assigned.add(Variables.assign(tf, variable, segment.after().get(assigned.size())));
    }
    Op all = assigned.isEmpty() ? null : tf.withControlDependencies(assigned).noOp();
    return new Seam(before, segment.after(), Optional.ofNullable(all));
  }

  /**
   * What has a segment's gradients: the sum of its losses, and its states by what they change
   * behind it.
   */
  Output<TFloat32> minimized(Output<TFloat32> losses) {
    List<Operand<TFloat32>> all = new ArrayList<>(List.of(losses));
    if (!loop.truncate()) {
      for (Output<TFloat32> after : training.after) {
        var shape = after.shape();
        var gradient = tf.placeholderWithDefault(tf.zerosLike(after), shape).asOutput();
        arriving.add(gradient);
        var axes = tf.array(0, 1, 2, 3);
        all.add(tf.reduceSum(tf.math.mul(after, tf.stopGradient(gradient)), axes));
      }
    }
    return tf.math.addN(all).asOutput();
  }

  /** Feeds what only segments have. */
  Feed feed(Feed feed, LabelledBatch segment) {
    float[] on = new float[segment.rows()];
    for (int row = 0; row < on.length; row++) {
      on[row] = segment.starts().length > 0 && segment.starts()[row] > 0 ? 1 : 0;
    }
    return feed.put(positions, segment.positions(), segment.rows(), segment.length())
        .put(goesOn, Tensors.of(on, on.length));
  }

  /** The segments of a batch, as the model reads them; what is padding in all rows is in none. */
  List<LabelledBatch> split(LabelledBatch batch) {
    LabelledBatch read = config.shiftBos() == null ? batch : batch.shifted(config.shiftBos());
    int longest = loop.segmentLength(batch.rows());
    int end = read.usedLength();
    List<LabelledBatch> segments = new ArrayList<>();
    for (int from = 0; from < end; from += longest) {
      segments.add(read.segment(from, Math.min(end, from + longest)));
    }
    return segments;
  }

  Seam training() {
    return training;
  }

  Seam evaluation() {
    return evaluation;
  }

  /** Placeholders of the gradients of training's states behind the segment; empty if truncated. */
  List<Output<TFloat32>> arriving() {
    return arriving;
  }

  /** What training carries from batch to batch, which a checkpoint holds. */
  List<Variable> carried() {
    return carried;
  }
}
