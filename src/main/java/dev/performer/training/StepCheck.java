package dev.performer.training;

import dev.performer.data.BatchSize;
import dev.performer.graph.DeviceCheck;
import dev.performer.graph.OpKernels;
import dev.performer.graph.StaticForm;
import dev.performer.graph.XlaFunction;
import dev.performer.training.TrainerStep.NotFinite;
import dev.performer.training.optim.Gradients;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.types.TFloat64;

/** What devices have for a training step, and for drawing projections anew. */
public final class StepCheck {
  private StepCheck() {}

  /**
   * Adds the step of a loop to a model's graph and lists its ops: forward, gradients, clipping,
   * update. With a batch it is compiled and taken once, for the sizes of that batch.
   *
   * @param batch null to compile nothing
   * @throws dev.performer.PerformerException if the model cannot be trained
   */
  public static DeviceCheck of(
      String name, Trainable model, LoopOptions loop, LabelledBatch batch) {
    TrainerStep step = TrainerStep.of(model, loop.with("xla=false"));
    Ops tf = Ops.create(model.graph()).withSubScope("checked");
    List<Op> ends = new ArrayList<>(List.of(step.optimizer().update()));
    if (step.optimizer().accumulate() != null) {
      ends.add(step.optimizer().accumulate());
    }
    model.segments().flatMap(segments -> segments.training().carry()).ifPresent(ends::add);
    Output<?> done = tf.withControlDependencies(ends).identity(step.sums()).asOutput();
    GraphDef part = part(model.graph(), done);
    DeviceCheck listed = DeviceCheck.listed(name, OpKernels.of(part));
    if (batch == null) {
      return listed;
    }
    try {
      List<String> open = openSizes(step, part, batch);
      return listed.tried(open, () -> take(step, loop, batch));
    } catch (RuntimeException e) {
      return listed.refused(e);
    }
  }

  private static GraphDef part(Graph graph, Output<?> end) {
    Set<String> names = Gradients.ancestors(List.of(end), true).keySet();
    GraphDef whole = graph.toGraphDef();
    var nodes = whole.getNodeList().stream().filter(node -> names.contains(node.getName()));
    return whole.toBuilder().clearNode().addAllNode(nodes.toList()).build();
  }

  private static List<String> openSizes(TrainerStep step, GraphDef part, LabelledBatch batch) {
    var segments = step.model().segments();
    LabelledBatch first = segments.map(all -> all.split(batch).get(0)).orElse(batch);
    try (Feed feed = step.feed(first, 0, 0)) {
      feed.put(step.optimizer().learningRate(), TFloat64.scalarOf(0));
      return StaticForm.openSizes(StaticForm.of(part, feed.byName()));
    }
  }

  private static void take(TrainerStep step, LoopOptions loop, LabelledBatch batch) {
    TrainerStep compiled = step.compiled(new BatchSize.Sequences(batch.rows()));
    Trainable model = step.model();
    try (Session session = TrainerStep.session(model.graph(), true)) {
      model.initializer().accept(session);
      step.optimizer().initializer().accept(session);
      compiled.run(session, Collections.nCopies(loop.accumulate(), batch), 0, 1e-4);
    } catch (NotFinite e) {
      // It ran, and made up numbers need not be learnable.
    }
  }

  /**
   * The same of the ops that draw a model's projections anew.
   *
   * @param compiles whether XLA compiles them
   */
  public static DeviceCheck redraws(Trainable model, boolean compiles) {
    Ops tf = Ops.create(model.graph()).withSubScope("redrawn");
    List<Op> all = new ArrayList<>();
    model.redraws().values().forEach(all::addAll);
    Output<?> seed = model.redrawSeed().orElseThrow().asOutput();
    Output<?> done = tf.withControlDependencies(all).identity(tf.constant(1)).asOutput();
    GraphDef part = part(model.graph(), done);
    DeviceCheck listed = DeviceCheck.listed("redraw", OpKernels.of(part));
    return compiles ? listed.tried(List.of(), () -> draw(tf, model, seed, done)) : listed;
  }

  private static void draw(Ops tf, Trainable model, Output<?> seed, Output<?> done) {
    Output<?> given = tf.constant(new int[] {1, 2}).asOutput();
    var drawn =
        XlaFunction.cut(tf, List.of(seed), List.of(given), List.of(done), model.variables());
    try (Session session = TrainerStep.session(model.graph(), true)) {
      model.initializer().accept(session);
      session.runner().fetch(drawn.get(0)).run().close();
    }
  }
}
