package dev.performer.study;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.attention.Attention;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.study.AttentionBenchmark.Measurement;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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

/** The process that measures one case of the benchmark and prints it as a line of JSON. */
final class BenchmarkFork {
  private static final int LEAST_RUNS = 3;
  private static final int MOST_RUNS = 12;
  private static final double ENOUGH_SECONDS = 2;

  private BenchmarkFork() {}

  /** Arguments: attention, causal, B, L, H, D, M. */
  public static void main(String[] args) throws IOException {
    BenchmarkedAttention attention = BenchmarkedAttention.of(args[0]);
    boolean causal = Boolean.parseBoolean(args[1]);
    Shape shape =
        Shape.of(
            Long.parseLong(args[2]),
            Long.parseLong(args[4]),
            Long.parseLong(args[3]),
            Long.parseLong(args[5]));
    int headSize = Integer.parseInt(args[5]);
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Operand<TFloat32> q = normal(tf, variables, "q", shape, 1);
      Operand<TFloat32> k = normal(tf, variables, "k", shape, 2);
      Operand<TFloat32> v = normal(tf, variables, "v", shape, 3);
      Operand<TFloat32> upstream = normal(tf, variables, "g", shape, 4);
      Attention built = attention.build(tf, causal, headSize, Integer.parseInt(args[6]));
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
      double idle = residentMb("VmRSS");
      double forwardMs = fastest(session, forward);
      double forwardMb = residentMb("VmHWM") - idle;
      double trainMs = fastest(session, train);
      double trainMb = residentMb("VmHWM") - idle;
      System.out.println(
          new ObjectMapper()
              .writeValueAsString(new Measurement(forwardMs, trainMs, forwardMb, trainMb)));
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

  /** A memory line of this process in MB; 0 where the system has no such file. */
  static double residentMb(String field) throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) {
      return 0;
    }
    for (String line : Files.readAllLines(status)) {
      if (line.startsWith(field + ":")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024 / 1e6;
      }
    }
    return 0;
  }
}
