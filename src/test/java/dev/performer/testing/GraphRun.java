package dev.performer.testing;

import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/**
 * Builds a function of named arrays once and runs it: its value, and the gradients of Σ value·g.
 * Batch and length stay unknown in the graph.
 */
public final class GraphRun<T extends TFloating> implements AutoCloseable {
  /** A graph function of named operands. */
  public interface Function<T extends TFloating> {
    Operand<T> apply(Ops tf, Map<String, Operand<T>> inputs);
  }

  private final Graph graph = new Graph();
  private final Session session;
  private final Class<T> type;
  private final Map<String, Operand<T>> inputs = new LinkedHashMap<>();
  private final Operand<T> output;
  private final Operand<T> upstream;
  private final Map<String, Output<?>> gradients = new LinkedHashMap<>();

  /**
   * @param shapes of the inputs, -1 where unknown
   * @param withRespectTo inputs to differentiate by
   */
  public GraphRun(
      Class<T> type, Map<String, Shape> shapes, List<String> withRespectTo, Function<T> function) {
    this.type = type;
    Ops tf = Ops.create(graph);
    shapes.forEach((n, s) -> inputs.put(n, tf.placeholder(type, Placeholder.shape(s))));
    output = function.apply(tf, inputs);
    upstream = tf.placeholder(type, Placeholder.shape(Shape.unknown()));
    if (!withRespectTo.isEmpty()) {
      int[] axes = new int[output.shape().numDimensions()];
      Arrays.setAll(axes, i -> i);
      Operand<T> loss = tf.sum(tf.math.mul(output, upstream), tf.constant(axes));
      Output<?>[] x =
          withRespectTo.stream().map(n -> inputs.get(n).asOutput()).toArray(Output<?>[]::new);
      Output<?>[] dx = graph.addGradients(loss.asOutput(), x);
      for (int i = 0; i < x.length; i++) {
        gradients.put(withRespectTo.get(i), tf.identity(dx[i]).asOutput());
      }
    }
    session = new Session(graph);
  }

  /** Only matrices and the last axis are known. */
  public static Shape dynamic(long[] shape) {
    long[] s = shape.clone();
    for (int i = 0; i < s.length; i++) {
      boolean known = s.length == 2 || i == s.length - 1;
      s[i] = known ? s[i] : -1;
    }
    return Shape.of(s);
  }

  public double[] value(Map<String, NpyArray> in) {
    return run(in, null).get("out");
  }

  /** {@code out}, and {@code d<input>} for each differentiated input. */
  public Map<String, double[]> run(Map<String, NpyArray> in, NpyArray g) {
    List<Tensor> owned = new ArrayList<>();
    try {
      Session.Runner runner = session.runner();
      for (var e : inputs.entrySet()) {
        Tensor t = tensor(in.get(e.getKey()));
        owned.add(t);
        runner.feed(e.getValue(), t);
      }
      runner.fetch(output);
      if (g != null) {
        Tensor t = tensor(g);
        owned.add(t);
        runner.feed(upstream, t);
        gradients.values().forEach(runner::fetch);
      }
      Map<String, double[]> results = new LinkedHashMap<>();
      try (Result r = runner.run()) {
        results.put("out", doubles(r.get(0)));
        int i = 1;
        for (String name : g == null ? List.<String>of() : List.copyOf(gradients.keySet())) {
          results.put("d" + name, doubles(r.get(i++)));
        }
      }
      return results;
    } finally {
      owned.forEach(Tensor::close);
    }
  }

  private Tensor tensor(NpyArray a) {
    return type == TFloat64.class
        ? Tensors.of(a.doubles(), a.shape())
        : Tensors.of(a.floats(), a.shape());
  }

  private double[] doubles(Tensor t) {
    if (type == TFloat64.class) {
      return Tensors.doubles(t);
    }
    float[] f = Tensors.floats(t);
    double[] d = new double[f.length];
    Arrays.setAll(d, i -> f[i]);
    return d;
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }

  public static double maxAbs(double[] x) {
    return Arrays.stream(x).map(Math::abs).max().orElse(0);
  }

  /** Largest absolute difference. NaN anywhere gives infinity. */
  public static double maxDifference(double[] a, double[] b) {
    if (a.length != b.length) {
      throw new AssertionError("sizes " + a.length + " and " + b.length);
    }
    double max = 0;
    for (int i = 0; i < a.length; i++) {
      double d = Math.abs(a[i] - b[i]);
      max = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(max, d);
    }
    return max;
  }
}
