package dev.performer.study;

import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * What the machine can do, measured among the cases of a group by the same threads: a square
 * product of float32 matrices, and reading an array that no cache holds.
 *
 * @param matMulGflops 10^9 floating point operations a second; null where not measured
 * @param readGbs 10^9 bytes a second; null where not measured
 */
record MachinePeak(String group, Double matMulGflops, Double readGbs)
    implements InTurns<MachinePeak> {
  private static final String PRODUCT = "product of ";
  private static final String READ = "read";
  private static final int LEAST = 1024;
  private static final int MOST = 8192;
  private static final double ENOUGH_SECONDS = 4e-3;
  private static final long ROWS = 1 << 13;
  private static final long COLUMNS = 1 << 12;
  private static final double BYTES = 4.0 * ROWS * COLUMNS;
  private static final double START_SECONDS = 4;

  static MachinePeak of(String group) {
    return new MachinePeak(group, null, null);
  }

  @Override
  public String label() {
    return group + ": peak of the machine";
  }

  @Override
  public String line() {
    return Table.format(
        "%-28s product of matrices %.0f GFLOP/s, reading %.1f GB/s",
        label(), matMulGflops, readGbs);
  }

  @Override
  public MachinePeak result() {
    return matMulGflops == null ? null : this;
  }

  @Override
  public MachinePeak with(Map<String, Timing> timings) {
    String product = timings.keySet().stream().filter(n -> n.startsWith(PRODUCT)).findFirst().get();
    double n = Integer.parseInt(product.substring(PRODUCT.length()));
    double gflops = 2 * n * n * n / timings.get(product).minMs() / 1e6;
    return new MachinePeak(group, gflops, BYTES / timings.get(READ).minMs() / 1e6);
  }

  /** What the machine could do of work with these costs, in GFLOP/s. */
  double attainable(double intensity) {
    return Math.min(matMulGflops, intensity * readGbs);
  }

  @Override
  public double seconds() {
    return START_SECONDS;
  }

  @Override
  public double roundSeconds() {
    return 0.2;
  }

  @Override
  public long leastBytes() {
    return (long) BYTES;
  }

  /** The smallest product that takes long enough: one that is short finds a quiet moment. */
  @Override
  public Open open() {
    for (int n = LEAST; ; n *= 2) {
      TimedGraph timed = of(n);
      var product = timed.work().get(PRODUCT + n);
      double best = Double.MAX_VALUE;
      for (int run = 0; run < Rounds.LEAST; run++) {
        long start = System.nanoTime();
        product.run();
        best = Math.min(best, (System.nanoTime() - start) / 1e9);
      }
      if (best >= ENOUGH_SECONDS || n == MOST) {
        return timed;
      }
      timed.close();
    }
  }

  private static TimedGraph of(int n) {
    TimedGraph timed = new TimedGraph();
    Ops tf = timed.tf();
    Operand<TFloat32> a = timed.normal(Shape.of(n, n));
    Operand<TFloat32> b = timed.normal(Shape.of(n, n));
    Operand<TFloat32> vector = timed.normal(Shape.of(1, ROWS));
    Operand<TFloat32> array = timed.normal(Shape.of(ROWS, COLUMNS));
    timed.add(PRODUCT + n, tf.linalg.matMul(a, b));
    timed.add(READ, tf.linalg.matMul(vector, array)); // as a decoder reads its weights
    return timed.initialized();
  }
}
