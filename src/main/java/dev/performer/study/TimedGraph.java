package dev.performer.study;

import dev.performer.attention.MachineTuning;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.RunMetadata;
import org.tensorflow.proto.RunOptions;
import org.tensorflow.types.TFloat32;

/** A graph on random arrays whose targets are timed. Owns graph and session. */
final class TimedGraph implements InTurns.Open {
  static final RunOptions TRACE =
      RunOptions.newBuilder().setTraceLevel(RunOptions.TraceLevel.FULL_TRACE).build();

  private final Graph graph = new Graph();
  private final Session session;
  private final Ops tf = Ops.create(graph);
  private final Variables variables = new Variables(tf);
  private final Map<String, InTurns.Work> work = new LinkedHashMap<>();
  private int arrays;

  /** With the threads that sessions have here. */
  TimedGraph() {
    MachineTuning.settleThreads();
    session = new Session(graph);
  }

  TimedGraph(ConfigProto config) {
    session = new Session(graph, config);
  }

  Ops tf() {
    return tf;
  }

  Graph graph() {
    return graph;
  }

  Variables variables() {
    return variables;
  }

  /** A read of a variable of normal numbers: no constant that a graph optimizer sees through. */
  Operand<TFloat32> normal(Shape shape) {
    var seed = tf.constant(new int[] {++arrays, 0});
    var value = tf.random.statelessRandomNormal(tf.constant(shape), seed);
    return variables.create("timed/x" + arrays, shape, true, value).read(tf);
  }

  /**
   * Times what these ops need. Their values stay in TensorFlow: what is measured is no copy to
   * Java.
   */
  void add(String name, Op... targets) {
    work.put(name, new Targets(List.of(targets)));
  }

  /** Once all is built. */
  TimedGraph initialized() {
    variables.initialize(session);
    return this;
  }

  @Override
  public Map<String, InTurns.Work> work() {
    return work;
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }

  private final class Targets implements InTurns.Work {
    private final List<Op> targets;

    Targets(List<Op> targets) {
      this.targets = new ArrayList<>(targets);
    }

    private Session.Runner runner() {
      Session.Runner runner = session.runner();
      targets.forEach(runner::addTarget);
      return runner;
    }

    @Override
    public void run() {
      runner().run().close();
    }

    @Override
    public RunMetadata traced() {
      try (Result result = runner().setOptions(TRACE).runAndFetchMetadata()) {
        return result.getMetadata().orElseThrow();
      }
    }
  }
}
