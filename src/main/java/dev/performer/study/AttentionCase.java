package dev.performer.study;

import static dev.performer.study.Table.format;

import dev.performer.graph.Variables;
import dev.performer.training.run.AvailableMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Time and memory of one attention at one length, without and with gradients.
 *
 * @param length L
 * @param result null before
 */
public record AttentionCase(Kind kind, int length, BenchmarkSize size, Measured result)
    implements Benchmark.Case<AttentionCase> {
  private static final int LEAST_RUNS = 3;
  private static final int MOST_RUNS = 12;
  private static final double ENOUGH_SECONDS = 2;
  private static final double START_SECONDS = 3;
  private static final double OPERATIONS_A_SECOND = 1.5e11;

  /** Of a step with gradients, in those of the output alone. */
  private static final double WITH_GRADIENTS = 3;

  /**
   * What is compared at each length.
   *
   * @param causal whether the future is hidden
   */
  public record Kind(BenchmarkedAttention attention, boolean causal) {
    @Override
    public String toString() {
      return attention.label() + (causal ? ", causal" : "");
    }
  }

  /**
   * What was measured. Times are the fastest of several runs.
   *
   * @param forwardMs milliseconds of the output alone
   * @param trainMs milliseconds of the output and the gradients of q, k and v
   * @param forwardMb peak memory above the idle session, in MB (10^6 bytes)
   * @param trainMb the same with gradients
   */
  public record Measured(double forwardMs, double trainMs, double forwardMb, double trainMb) {}

  @Override
  public String label() {
    return kind + " at L=" + length;
  }

  @Override
  public String line() {
    return format(
        "%-28s L=%-6d forward %8.1f ms, forward+backward %8.1f ms, peak %6.0f MB",
        kind, length, result.forwardMs(), result.trainMs(), result.trainMb());
  }

  @Override
  public AttentionCase measure() {
    var shape = Shape.of(size.batch(), size.heads(), length, size.headSize());
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      List<Operand<TFloat32>> normal = new ArrayList<>(); // q, k, v, gradient of the output
      for (int i = 0; i < 4; i++) {
        var seed = tf.constant(new int[] {i + 1, 0});
        var value = tf.random.statelessRandomNormal(tf.constant(shape), seed);
        normal.add(variables.create("x" + i, shape, true, value).read(tf));
      }
      Operand<TFloat32> out =
          kind.attention()
              .build(tf, kind.causal(), size)
              .attend(tf, normal.get(0), normal.get(1), normal.get(2), null); // [B, H, L, D]
      Output<?>[] inputs = normal.stream().map(Operand::asOutput).toArray(Output<?>[]::new);
      Output<?>[] gradients =
          graph.addGradients(
              "gradients",
              new Output<?>[] {out.asOutput()},
              Arrays.copyOf(inputs, 3),
              new Output<?>[] {inputs[3]});
      // Sums keep results in TensorFlow: what is measured is not a copy to Java.
      Op forward = sum(tf, out);
      List<Op> train = new ArrayList<>(List.of(forward));
      for (Output<?> gradient : gradients) {
        train.add(sum(tf, gradient.expect(TFloat32.class)));
      }
      variables.initialize(session);
      double idle = AvailableMemory.resident().orElse(0) / 1e6;
      double forwardMs = fastest(session, List.of(forward));
      double forwardMb = StepBenchmark.peakMb() - idle;
      double trainMs = fastest(session, train);
      double trainMb = StepBenchmark.peakMb() - idle;
      var measured = new Measured(forwardMs, trainMs, forwardMb, trainMb);
      return new AttentionCase(kind, length, size, measured);
    }
  }

  private static Op sum(Ops tf, Operand<TFloat32> x) {
    return tf.reduceSum(x, tf.constant(new int[] {0, 1, 2, 3}));
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
    double forward = positions * kind.attention().operations(length, size) / OPERATIONS_A_SECOND;
    return START_SECONDS + runs(forward) + runs(WITH_GRADIENTS * forward);
  }

  private static double runs(double seconds) {
    return seconds + Math.max(LEAST_RUNS * seconds, Math.min(ENOUGH_SECONDS, MOST_RUNS * seconds));
  }

  /** The logits and their softmax, {@code [B, H, L, L]}, twice with gradients. */
  @Override
  public long leastBytes() {
    return kind.attention().isExact() ? 4L * 4 * size.batch() * size.heads() * length * length : 0;
  }
}
