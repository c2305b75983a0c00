package dev.performer.study;

import dev.performer.attention.Attention;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.io.IOException;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;

/**
 * Time and memory of one attention at one length, without and with gradients.
 *
 * @param attention which
 * @param causal whether the future is hidden
 * @param length L
 */
public record AttentionCase(
    BenchmarkedAttention attention, boolean causal, int length, BenchmarkSize size)
    implements Case<AttentionCase.Measured> {
  private static final int LEAST_RUNS = 3;
  private static final int MOST_RUNS = 12;
  private static final double ENOUGH_SECONDS = 2;
  private static final double START_SECONDS = 3;
  private static final double OPERATIONS_A_SECOND = 1.5e11;

  /** Of a step with gradients, in those of the output alone. */
  private static final double WITH_GRADIENTS = 3;

  /**
   * What was measured. Times are the fastest of several runs.
   *
   * @param forwardMs milliseconds of the output alone
   * @param trainMs milliseconds of the output and the gradients of q, k and v
   * @param forwardMb peak memory above the idle session, in MB (10^6 bytes)
   * @param trainMb the same with gradients
   */
  public record Measured(double forwardMs, double trainMs, double forwardMb, double trainMb) {}

  /** Without the length. */
  String kind() {
    return attention.label() + (causal ? ", causal" : "");
  }

  @Override
  public String label() {
    return kind() + " at L=" + length;
  }

  @Override
  public Measured measure() throws IOException {
    Shape shape = Shape.of(size.batch(), size.heads(), length, size.headSize());
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Operand<TFloat32> q = normal(tf, variables, "q", shape, 1);
      Operand<TFloat32> k = normal(tf, variables, "k", shape, 2);
      Operand<TFloat32> v = normal(tf, variables, "v", shape, 3);
      Operand<TFloat32> upstream = normal(tf, variables, "g", shape, 4);
      Attention built = attention.build(tf, causal, size);
      Operand<TFloat32> out = built.attend(tf, q, k, v, null); // [B, H, L, D]
      Output<?>[] gradients =
          graph.addGradients(
              "gradients",
              new Output<?>[] {out.asOutput()},
              new Output<?>[] {q.asOutput(), k.asOutput(), v.asOutput()},
              new Output<?>[] {upstream.asOutput()});
      // Sums keep results in TensorFlow: what is measured is not a copy to Java.
      List<Op> forward = List.of(sum(tf, out));
      List<Op> train =
          List.of(
              sum(tf, out), sum(tf, gradients[0]), sum(tf, gradients[1]), sum(tf, gradients[2]));
      variables.initialize(session);
      double idle = MeasuringProcess.residentMb("VmRSS");
      double forwardMs = fastest(session, forward);
      double forwardMb = MeasuringProcess.residentMb("VmHWM") - idle;
      double trainMs = fastest(session, train);
      double trainMb = MeasuringProcess.residentMb("VmHWM") - idle;
      return new Measured(forwardMs, trainMs, forwardMb, trainMb);
    }
  }

  private static Operand<TFloat32> normal(
      Ops tf, Variables variables, String name, Shape shape, int seed) {
    var value =
        tf.random.statelessRandomNormal(tf.constant(shape), tf.constant(new int[] {seed, 0}));
    Variable variable = variables.create(name, shape, true, value);
    return variable.read(tf);
  }

  @SuppressWarnings("unchecked")
  private static Op sum(Ops tf, Operand<?> x) {
    return tf.reduceSum(
        (Operand<TFloat32>) x, tf.constant(new int[] {0, 1, 2, 3}), ReduceSum.keepDims(false));
  }

  private static double fastest(Session session, List<Op> targets) {
    double best = Double.MAX_VALUE;
    double spent = 0;
    for (int run = 0; run < LEAST_RUNS + 1 || (run < MOST_RUNS && spent < ENOUGH_SECONDS); run++) {
      Session.Runner runner = session.runner();
      targets.forEach(runner::addTarget);
      long start = System.nanoTime();
      runner.run().close();
      double seconds = (System.nanoTime() - start) / 1e9;
      if (run > 0) { // the first run plans the graph
        best = Math.min(best, seconds);
        spent += seconds;
      }
    }
    return best * 1e3;
  }

  @Override
  public double seconds() {
    double positions = (double) size.batch() * size.heads() * length;
    double forward = positions * attention.operations(length, size) / OPERATIONS_A_SECOND;
    return START_SECONDS + runs(forward) + runs(WITH_GRADIENTS * forward);
  }

  private static double runs(double seconds) {
    return seconds + Math.max(LEAST_RUNS * seconds, Math.min(ENOUGH_SECONDS, MOST_RUNS * seconds));
  }

  /** The logits and their softmax, {@code [B, H, L, L]}, twice with gradients. */
  @Override
  public long leastBytes() {
    return attention.isExact() ? 4L * 4 * size.batch() * size.heads() * length * length : 0;
  }
}
